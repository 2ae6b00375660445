// Values that callers build (`getOrSet`): checked and within their time; and in keyspaces without a source found in memory, built
// once for all who ask meanwhile, and kept.
// Not for: writing what was built to a source (keyspace.ts), whose build it is when several ask (built-values.ts).
import type { Clock } from '../base/clock.ts'
import type { EntryFacts } from '../near/entry.ts'
import { callWithin, type FunctionContext } from '../source/function-calls.ts'
import type { BuiltValues } from './built-values.ts'
import type { Engine } from './engine.ts'
import type { Found } from './fallback.ts'
import type { Loading } from './loading.ts'
import { durationOf } from './option-checks.ts'
import type { BuildOptions, ResolvedKeyspace, StoreOptions } from './options.ts'
import { checked } from './schema.ts'

/** Makes a value; the signal is aborted when that has taken longer than `load.timeout` of its keyspace. */
export type Build<V> = (context: FunctionContext) => V | Promise<V>

/** What is said of a value; `filed`: it can be kept under its tags. */
export type Facts = EntryFacts & { readonly filed: boolean }

export interface BuildsParts {
  readonly settings: ResolvedKeyspace
  readonly clock: Clock
  readonly loading: Loading
  readonly facts: (options: StoreOptions) => Promise<Facts>
  readonly ready: () => Promise<Engine>
}

export class Builds<V> {
  readonly #parts: BuildsParts

  constructor(parts: BuildsParts) {
    this.#parts = parts
  }

  /** What the build makes of nothing. Rejects as it does, with SOURCE_TIMEOUT, or with VALUE_INVALID. */
  async make(id: string, build: Build<V>): Promise<V> {
    const { settings, clock } = this.#parts
    const { name, schema, load } = settings
    const key = `${name}:${id}`
    const built = await callWithin(clock, load.timeoutMs ?? Infinity, `the build of '${key}'`, build)
    return schema === undefined || built === undefined ? built : ((await checked(schema, key, built)) as V)
  }

  /** What is there, or what the build makes of nothing. Rejects with BuiltNothing when that is undefined. */
  find(id: string, own: BuiltValues, build: Build<V>, options: BuildOptions): Promise<Found> {
    const { settings, loading } = this.#parts
    const call = { boundMs: settings.explicitBoundMs, session: false, proved: false, ...this.#windows(options) }
    return loading.find(id, call, () =>
      this.#expected(id, own, build, options, (reader, key, filed) =>
        // What cannot be filed is built, and not kept.
        reader.read(key, filed ? {} : { maxStalenessMs: 0 }),
      ),
    )
  }

  /** Builds it anew, while what is there goes on being answered. */
  renew(id: string, own: BuiltValues, build: Build<V>, options: BuildOptions): Promise<boolean> {
    return this.#expected(id, own, build, options, (reader, key) => reader.renew(key))
  }

  async #expected<T>(
    id: string,
    own: BuiltValues,
    build: Build<V>,
    options: BuildOptions,
    read: (reader: Engine['reader'], key: string, filed: boolean) => Promise<T>,
  ): Promise<T> {
    const facts = await this.#parts.facts(options)
    const { reader } = await this.#parts.ready()
    const key = `${this.#parts.settings.name}:${id}`
    const expected = own.expect(id, { build: () => this.make(id, build), ...facts, graceMs: this.#graceMs(options) })
    try {
      if (expected.outdated) await reader.giveUpLoad(key)
      return await read(reader, key, facts.filed)
    } finally {
      expected.forget()
    }
  }

  #windows({ swr, staleIfError }: BuildOptions): { readonly swrMs: number; readonly staleIfErrorMs: number } {
    const { swrMs, staleIfErrorMs } = this.#parts.settings
    return {
      swrMs: durationOf('swr', swr) ?? swrMs,
      staleIfErrorMs: durationOf('staleIfError', staleIfError) ?? staleIfErrorMs,
    }
  }

  // undefined: as the keyspace has it.
  #graceMs(options: BuildOptions): number | undefined {
    if (options.swr === undefined && options.staleIfError === undefined) return undefined
    const { swrMs, staleIfErrorMs } = this.#windows(options)
    return Math.max(swrMs, staleIfErrorMs)
  }
}
