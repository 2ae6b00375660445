// A source whose loads are limited in time, tried again, and left alone while it fails. By keyspace, save for the breaker: those
// of one source that have one have the same.
//
//   retries ( breaker ( timeout ( load ) ) )      each attempt counts for the breaker, and has its own time
//
// Not for: writes, which pass as they are; the time of users' functions, which have a signal (function-calls.ts); what is
// answered when a load fails (loading.ts).
import { sleep, type Clock } from '../base/clock.ts'
import { messageOf, TidemarkError, type ErrorCode } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { Backoff } from '../cache/backoff.ts'
import type { LoadResult, RowId, Source } from '../source/source.ts'
import { WrappedSource } from '../source/wrapped-source.ts'
import type { SourceBreaker } from './breakers.ts'

export interface Guards {
  /** undefined: as long as the source itself takes. */
  readonly timeoutMs: number | undefined
  /** Attempts after the first. */
  readonly retries: number
  /** Of the source. */
  readonly breaker: SourceBreaker | undefined
}

export interface GuardedSourceOptions {
  readonly source: Source<unknown>
  /** By keyspace; one that is not here is not guarded. */
  readonly guards: ReadonlyMap<string, Guards>
  readonly clock: Clock
  readonly random: Random
}

type Load = (ids: readonly RowId[]) => Promise<LoadResult<unknown>>

/** What the same question would be answered with again, or what says nothing of the source. */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ROW_KEY_INVALID',
  'SOURCE_ANSWER',
  'SOURCE_BREAKER',
  'SHUTTING_DOWN',
])
/** What says nothing of the source: of a call, of one of its tables, of this process. */
const harmless: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MAPPING_INVALID', 'ROW_KEY_INVALID', 'SHUTTING_DOWN'])

export class GuardedSource extends WrappedSource {
  readonly #loads: ReadonlyMap<string, Load>
  readonly #clock: Clock
  readonly #random: Random
  readonly #loadMs: number | undefined

  constructor({ source, guards, clock, random }: GuardedSourceOptions) {
    super(source)
    this.#clock = clock
    this.#random = random
    this.#loads = new Map([...guards].map(([keyspace, own]) => [keyspace, this.#guarded(keyspace, own)]))
    const ownMs = super.loadMs
    if (ownMs === undefined) return
    const loadsMs = [...guards.values()].map(({ timeoutMs = ownMs, retries }) => {
      return timeoutMs + retries * (timeoutMs + limits.loadRetryMaxMs)
    })
    this.#loadMs = Math.max(ownMs, ...loadsMs)
  }

  /** With all attempts. */
  override get loadMs(): number | undefined {
    return this.#loadMs
  }

  /** Rejects as the source does, with SOURCE_TIMEOUT, or with SOURCE_BREAKER. */
  override load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    return this.#loads.get(keyspace)?.(ids) ?? super.load(keyspace, ids)
  }

  #guarded(keyspace: string, { timeoutMs, retries, breaker }: Guards): Load {
    let load: Load = ids => super.load(keyspace, ids)
    if (timeoutMs !== undefined) load = this.#limited(load, keyspace, timeoutMs)
    if (breaker !== undefined) load = this.#broken(load, keyspace, breaker)
    return retries === 0 ? load : this.#retried(load, retries)
  }

  #limited(load: Load, keyspace: string, timeoutMs: number): Load {
    return ids => {
      const { promise, resolve, reject } = Promise.withResolvers<LoadResult<unknown>>()
      const timer = this.#clock.timer(timeoutMs, () => {
        const what = `a load of keyspace '${keyspace}' took more than ${timeoutMs} ms (load.timeout)`
        reject(new TidemarkError('SOURCE_TIMEOUT', what))
      })
      load(ids)
        .then(resolve, reject)
        .finally(() => timer.cancel())
      return promise
    }
  }

  #broken(load: Load, keyspace: string, breaker: SourceBreaker): Load {
    return async ids => {
      const pass = breaker.enter(this.#clock.monotonicMs())
      if (pass === undefined) throw this.#left(keyspace, breaker)
      try {
        const loaded = await load(ids)
        breaker.succeeded(pass)
        return loaded
      } catch (error) {
        const nowMs = this.#clock.monotonicMs()
        if (isOneOf(harmless, error)) {
          breaker.saidNothing(pass, nowMs)
        } else {
          breaker.last = error
          breaker.failed(pass, nowMs)
        }
        throw error
      }
    }
  }

  #left(keyspace: string, breaker: SourceBreaker): TidemarkError {
    const cause = breaker.last
    const waitMs = Math.ceil(breaker.waitMs(this.#clock.monotonicMs()))
    return new TidemarkError(
      'SOURCE_BREAKER',
      `the source of keyspace '${keyspace}' is left alone for ${waitMs} ms more (load.breaker); ` +
        `it failed last with: ${messageOf(cause)}`,
      { cause },
    )
  }

  #retried(load: Load, retries: number): Load {
    return async ids => {
      const backoff = new Backoff(this.#random, limits.loadRetryMs, limits.loadRetryMaxMs)
      for (let left = retries; ; left--) {
        try {
          return await load(ids)
        } catch (error) {
          if (left === 0 || isOneOf(final, error)) throw error
        }
        await sleep(this.#clock, backoff.nextMs())
      }
    }
  }
}

function isOneOf(codes: ReadonlySet<ErrorCode>, error: unknown): boolean {
  return error instanceof TidemarkError && codes.has(error.code)
}
