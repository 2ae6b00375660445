// A source around another one: what a class that extends this does not say passes through as it is.
// Not for: what is added on the way (library/schema.ts, observed-source.ts, guarded-source.ts there).
import { limits } from '../base/limits.ts'
import type { LoadResult, RowId, RowWrite, Source, SourcePosition, WriteResult } from './source.ts'

export class WrappedSource implements Source<unknown> {
  protected readonly inner: Source<unknown>

  constructor(inner: Source<unknown>) {
    this.inner = inner
  }

  get name(): string {
    return this.inner.name
  }

  get epoch(): bigint {
    return this.inner.epoch
  }

  get log(): false | undefined {
    return this.inner.log
  }

  get fenceMs(): number {
    return this.inner.fenceMs ?? limits.fenceMs
  }

  get loadMs(): number | undefined {
    return this.inner.loadMs
  }

  get change(): Source<unknown>['change'] {
    const { inner } = this
    return inner.change && ((keyspace, id, change) => inner.change!(keyspace, id, change))
  }

  load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    return this.inner.load(keyspace, ids)
  }

  write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    return this.inner.write(writes)
  }

  position(): Promise<SourcePosition> {
    return this.inner.position()
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
