// A source whose calls are told of: an event for each load, a span for each call when OpenTelemetry is there.
// Not for: counting rows (stats.ts).
import type { Clock } from '../base/clock.ts'
import type { LoadResult, RowId, RowWrite, Source, WriteResult } from '../source/source.ts'
import { WrappedSource } from '../source/wrapped-source.ts'
import type { Events } from './events.ts'
import type { Telemetry } from './telemetry.ts'

export interface ObservedSourceParts {
  readonly events: Events
  readonly clock: Clock
  /** undefined: OpenTelemetry is not installed, or not wanted. */
  readonly telemetry: Telemetry | undefined
}

export class ObservedSource extends WrappedSource {
  readonly #parts: ObservedSourceParts

  constructor(source: Source<unknown>, parts: ObservedSourceParts) {
    super(source)
    this.#parts = parts
  }

  override get change(): Source<unknown>['change'] {
    const change = super.change
    return change && ((keyspace, id, make) => this.#spanned('write', keyspace, 1, () => change(keyspace, id, make)))
  }

  override async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const { events, clock, telemetry } = this.#parts
    if (telemetry === undefined && !events.has('load')) return super.load(keyspace, ids)
    const beganMs = clock.monotonicMs()
    try {
      const result = await this.#spanned('load', keyspace, ids.length, () => super.load(keyspace, ids))
      this.#loaded(keyspace, ids, clock.monotonicMs() - beganMs, {})
      return result
    } catch (error) {
      this.#loaded(keyspace, ids, clock.monotonicMs() - beganMs, { error })
      throw error
    }
  }

  override write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const keyspace = writes[0]?.keyspace ?? ''
    return this.#spanned('write', keyspace, writes.length, () => super.write(writes))
  }

  #loaded(keyspace: string, keys: readonly RowId[], ms: number, failure: { readonly error?: unknown }): void {
    const { events, telemetry } = this.#parts
    telemetry?.loaded(keyspace, ms, 'error' in failure)
    if (events.has('load')) events.emit('load', { keyspace, keys, ms, ...failure })
  }

  #spanned<T>(what: 'load' | 'write', keyspace: string, keys: number, call: () => Promise<T>): Promise<T> {
    const { telemetry } = this.#parts
    return telemetry === undefined ? call() : telemetry.span(`tidemark.${what}`, { keyspace, keys }, call)
  }
}
