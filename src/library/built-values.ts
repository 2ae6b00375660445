// Values that nobody keeps but the cache: the source of keyspaces that have none. What is asked for is built by whoever asks
// (`getOrSet`), and what is written is written nowhere else.
import { limits } from '../base/limits.ts'
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import { LOGLESS_LOAD, LOGLESS_WRITE } from '../coherence/logless-stamp.ts'
import { payloadOf, type EntryFacts } from '../near/entry.ts'
import {
  RowFailure,
  type LoadResult,
  type RowId,
  type RowWrite,
  type Source,
  type SourcePosition,
  type WriteResult,
} from '../source/source.ts'

export interface Build extends EntryFacts {
  readonly build: () => unknown
}

/** What a load of a value fails with whose build made `undefined`: there is nothing to keep. */
export class BuiltNothing extends Error {}

export interface ExpectedBuild {
  /** What is being built for the id was asked for before one of its tags was given up: it is not to be waited for. */
  readonly outdated: boolean
  /** Nobody waits for this build any more. */
  forget(): void
}

export class BuiltValues implements Source<unknown> {
  readonly name: string
  readonly epoch: bigint = LOGLESS_EPOCH
  readonly log = false
  readonly loadMs: number
  readonly #builds = new Map<RowId, Build[]>()
  readonly #begun = new WeakSet<Build>()
  /** Those from before a tag was given up: they are for when there is no later one. */
  readonly #passed = new WeakSet<Build>()

  readonly #check: (key: string, payload: unknown) => void

  /**
   * `check` throws for a value that cannot be kept, where that is not found out before somebody hears that it was written.
   * `timeoutMs`: how long a build may take.
   */
  constructor(
    name: string,
    {
      check = () => {},
      timeoutMs,
    }: {
      readonly check?: (key: string, payload: unknown) => void
      readonly timeoutMs?: number | undefined
    } = {},
  ) {
    this.name = name
    this.#check = check
    this.loadMs = timeoutMs === undefined ? limits.buildPatienceMs : timeoutMs + limits.leaseMs
  }

  /** Who asks for the id from now on has it built so; of those that have not built yet, who asked first builds. */
  expect(id: RowId, build: Build): ExpectedBuild {
    const builds = this.#builds.get(id) ?? []
    const outdated = builds.some(each => !this.#passed.has(each) && each.tags?.some(({ alive }) => !alive))
    // Those who asked for them still wait for something.
    if (outdated) for (const each of builds) this.#passed.add(each)
    this.#builds.set(id, [...builds, build])
    return { outdated, forget: () => this.#forget(id, build) }
  }

  #forget(id: RowId, build: Build): void {
    const left = this.#builds.get(id)?.filter(each => each !== build) ?? []
    if (left.length === 0) this.#builds.delete(id)
    else this.#builds.set(id, left)
  }

  async load(_keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const rows = await Promise.all(ids.map(id => this.#built(id)))
    return { rows, stamp: LOGLESS_LOAD }
  }

  async #built(id: RowId): Promise<unknown> {
    const waiting = this.#builds.get(id) ?? []
    const latest = waiting.filter(each => !this.#passed.has(each))
    const builds = latest.length > 0 ? latest : waiting
    const build = builds.find(each => !this.#begun.has(each)) ?? builds[0]
    if (build !== undefined) this.#begun.add(build)
    try {
      const value = await build?.build()
      return value === undefined ? new RowFailure(new BuiltNothing()) : payloadOf(value, build)
    } catch (error) {
      return new RowFailure(error)
    }
  }

  async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const outcomes = writes.map(({ keyspace, id, operation }) => {
      const after = operation.kind === 'replace' ? operation.row : null
      if (after !== null) this.#check(`${keyspace}:${id}`, after)
      // That a value is not there is not worth a place: whoever asks next builds it.
      return { changed: true, before: null, after, fields: 0, exact: after !== null }
    })
    return { outcomes, stamp: LOGLESS_WRITE }
  }

  position(): Promise<SourcePosition> {
    return Promise.resolve({ position: 0n, epoch: LOGLESS_EPOCH })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
