// Values that nobody keeps but the cache: the source of keyspaces that have none. What is asked for is built by whoever asks
// (`getOrSet`), and what is written is written nowhere else.
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
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

const PAST_ALL_MARKS = 1n

export class BuiltValues implements Source<unknown> {
  readonly name: string
  readonly epoch: bigint = LOGLESS_EPOCH
  readonly log = false
  readonly #builds = new Map<RowId, Build[]>()

  constructor(name: string) {
    this.name = name
  }

  /** Who asks for the id from now on has it built so; who asked first builds. Returns what ends it. */
  expect(id: RowId, build: Build): () => void {
    const builds = this.#builds.get(id)
    if (builds === undefined) this.#builds.set(id, [build])
    else builds.push(build)
    return () => {
      const left = this.#builds.get(id)?.filter(each => each !== build) ?? []
      if (left.length === 0) this.#builds.delete(id)
      else this.#builds.set(id, left)
    }
  }

  async load(_keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const rows = await Promise.all(ids.map(id => this.#built(id)))
    const snapshot = { xmin: 0n, xmax: 0n, inProgress: [], exact: true }
    return { rows, stamp: { kind: 'load', snapshot, flush: 0n, epoch: LOGLESS_EPOCH, upto: PAST_ALL_MARKS } }
  }

  async #built(id: RowId): Promise<unknown> {
    const build = this.#builds.get(id)?.[0]
    if (build === undefined) return null
    try {
      const value = await build.build()
      return value === undefined ? null : payloadOf(value, build)
    } catch (error) {
      return new RowFailure(error)
    }
  }

  write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const outcomes = writes.map(({ operation }) => {
      const after = operation.kind === 'replace' ? operation.row : null
      return { changed: true, before: null, after, fields: 0, exact: true }
    })
    const stamp = { kind: 'write', xid: 0n, at: 0n, epoch: LOGLESS_EPOCH, upto: PAST_ALL_MARKS } as const
    return Promise.resolve({ outcomes, stamp })
  }

  position(): Promise<SourcePosition> {
    return Promise.resolve({ position: 0n, epoch: LOGLESS_EPOCH })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
