// A source without a log whose values are in a shared tier: what is loaded or written is stamped with the edition of its keyspace
// as it was when that began, so that nothing that began before a clear is taken for what came after it.
// Not for: what becomes of other editions' values (editions.ts).
import { loadIn, writeIn } from '../coherence/logless-stamp.ts'
import type { LoadResult, RowId, RowWrite, Source, WriteResult } from '../source/source.ts'
import { WrappedSource } from '../source/wrapped-source.ts'
import type { Editions } from './editions.ts'

/** What is stamped with it is of no edition: others do not find it. */
const UNKNOWN = 0n

export class EditionSource extends WrappedSource {
  readonly #editions: Editions
  readonly #keyspace: string

  constructor(inner: Source<unknown>, keyspace: string, editions: Editions) {
    super(inner)
    this.#editions = editions
    this.#keyspace = keyspace
  }

  override async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const edition = await this.#edition()
    const { rows, stamp } = await super.load(keyspace, ids)
    return { rows, stamp: loadIn(edition, stamp) }
  }

  override async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const edition = await this.#edition()
    const { outcomes, stamp } = await super.write(writes)
    return { outcomes, stamp: writeIn(edition, stamp) }
  }

  async #edition(): Promise<bigint> {
    return (await this.#editions.current(this.#keyspace)) ?? UNKNOWN
  }
}
