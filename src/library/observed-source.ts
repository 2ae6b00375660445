// A source whose calls are told of: an event for each load, a span for each call when OpenTelemetry is there.
// Not for: counting rows (stats.ts).
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { LoadResult, RowId, RowWrite, Source, SourcePosition, WriteResult } from '../source/source.ts'
import type { Events } from './events.ts'
import type { Telemetry } from './telemetry.ts'

export interface ObservedSourceParts {
  readonly events: Events
  readonly clock: Clock
  /** undefined: OpenTelemetry is not installed, or not wanted. */
  readonly telemetry: Telemetry | undefined
}

export class ObservedSource implements Source<unknown> {
  readonly #source: Source<unknown>
  readonly #parts: ObservedSourceParts

  constructor(source: Source<unknown>, parts: ObservedSourceParts) {
    this.#source = source
    this.#parts = parts
  }

  get name(): string {
    return this.#source.name
  }

  get epoch(): bigint {
    return this.#source.epoch
  }

  get log(): false | undefined {
    return this.#source.log
  }

  get fenceMs(): number {
    return this.#source.fenceMs ?? limits.fenceMs
  }

  get leaseMs(): number {
    return this.#source.leaseMs ?? limits.leaseMs
  }

  get change(): Source<unknown>['change'] {
    const source = this.#source
    if (source.change === undefined) return undefined
    return (keyspace, id, change) => this.#spanned('write', keyspace, 1, () => source.change!(keyspace, id, change))
  }

  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const { events, clock, telemetry } = this.#parts
    if (telemetry === undefined && !events.has('load')) return this.#source.load(keyspace, ids)
    const beganMs = clock.monotonicMs()
    try {
      const result = await this.#spanned('load', keyspace, ids.length, () => this.#source.load(keyspace, ids))
      this.#loaded(keyspace, ids, clock.monotonicMs() - beganMs, {})
      return result
    } catch (error) {
      this.#loaded(keyspace, ids, clock.monotonicMs() - beganMs, { error })
      throw error
    }
  }

  write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const keyspace = writes[0]?.keyspace ?? ''
    return this.#spanned('write', keyspace, writes.length, () => this.#source.write(writes))
  }

  position(): Promise<SourcePosition> {
    return this.#source.position()
  }

  close(): Promise<void> {
    return this.#source.close()
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
