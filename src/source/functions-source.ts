// Plain functions as a system of record: what a user writes to load, store and remove values by id. It has no log, so nothing
// tells of changes made around it: a time to live governs, and writes through the cache are fenced (cache/writer.ts).
//
// Functions can promise little, and so nothing is promised in their name:
//   no conditions           whether a value is there and writing it are two calls: NX and XX are refused
//   no transaction          several writes are one call of `store` and one of `remove`; SOURCE_PARTLY when only one went well
//   an error says nothing   one that `store` or `remove` throws does not say that nothing changed, unless it is a TidemarkError
//                           of another code than SOURCE_TIMEOUT: a user who knows that throws ROW_INVALID
// Not for: taking answers apart and timing calls (function-calls.ts); batching and sharing loads (cache/source-loads.ts).
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import { LOGLESS_LOAD, LOGLESS_WRITE } from '../coherence/logless-stamp.ts'
import { valueOf } from '../near/entry.ts'
import { callWithin, valuesOf, type FunctionContext, type LoadedValues } from './function-calls.ts'
import { NULL_VALUE } from '../base/null-value.ts'
import type {
  LoadResult,
  RowId,
  RowOperation,
  RowOutcome,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from './source.ts'

export interface SourceFunctions<V = unknown> {
  /** The values of `ids`, at least one, all different. What it throws, whoever asked for one of them is thrown. */
  load(ids: readonly string[], context: FunctionContext): LoadedValues<V> | Promise<LoadedValues<V>>
  /** Resolves once the values are what `load` shows. Without it, writes are refused with ROW_OPERATION. */
  store?(entries: ReadonlyMap<string, V>, context: FunctionContext): void | Promise<void>
  /** Resolves once `load` shows none of `ids`, whether they were there or not. Without it, removals are refused. */
  remove?(ids: readonly string[], context: FunctionContext): void | Promise<void>
}

export interface FunctionsSourceOptions {
  /** For messages: of the keyspace, usually. */
  readonly name: string
  readonly functions: SourceFunctions
  readonly clock: Clock
  /** How long one call of a function may take: `limits.sourceTimeoutMs` unless said otherwise. */
  readonly timeoutMs?: number
  /** How long `load` may take: `timeoutMs` unless said otherwise. */
  readonly loadTimeoutMs?: number | undefined
}

/** Rows are users' values, `null` among them as NULL_VALUE. Errors of the functions are rejected with as they are. */
export class FunctionsSource implements Source<unknown> {
  readonly name: string
  readonly epoch: bigint = LOGLESS_EPOCH
  readonly log = false
  readonly fenceMs: number
  readonly loadMs: number
  readonly #functions: SourceFunctions
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #loadTimeoutMs: number
  #closed = false

  constructor(options: FunctionsSourceOptions) {
    this.name = options.name
    this.#functions = options.functions
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs ?? limits.sourceTimeoutMs
    this.#loadTimeoutMs = options.loadTimeoutMs ?? this.#timeoutMs
    this.fenceMs = this.#timeoutMs + limits.fenceMs - limits.sourceTimeoutMs
    // Whoever waits hears of a load that has timed out before his own patience is over.
    this.loadMs = this.#loadTimeoutMs + limits.leaseMs
  }

  async load(_keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const what = `'load' of '${this.name}'`
    const answer = await this.#call(what, context => this.#functions.load(ids, context), this.#loadTimeoutMs)
    const rows = valuesOf(what, ids, answer).map(value => (value === undefined ? null : (value ?? NULL_VALUE)))
    return { rows, stamp: LOGLESS_LOAD }
  }

  /**
   * Takes 'replace' without a condition, and 'remove'; ROW_OPERATION otherwise, before anything is called. Of several writes of
   * an id the last one counts. Outcomes say `changed` without knowing, and `before: null`: nobody asked what was there.
   */
  async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const entries = new Map<string, unknown>()
    const removed = new Set<string>()
    const outcomes = writes.map(({ id, operation }): RowOutcome<unknown> => {
      const row = this.#rowOf(operation)
      entries.delete(id)
      removed.delete(id)
      if (row === null) removed.add(id)
      else entries.set(id, valueOf(row))
      return { changed: true, before: null, after: row, fields: 0, exact: true }
    })
    if (entries.size > 0) {
      await this.#call(`'store' of '${this.name}'`, context => this.#functions.store!(entries, context))
    }
    try {
      if (removed.size > 0) {
        await this.#call(`'remove' of '${this.name}'`, context => this.#functions.remove!([...removed], context))
      }
    } catch (error) {
      throw entries.size > 0 ? partly(this.name, entries.size, removed.size, error) : error
    }
    return { outcomes, stamp: LOGLESS_WRITE }
  }

  /** There is no log: always the same. */
  position(): Promise<SourcePosition> {
    return Promise.resolve({ position: 0n, epoch: LOGLESS_EPOCH })
  }

  /** What is under way goes on; calls after this reject with SHUTTING_DOWN. */
  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }

  #rowOf(operation: RowOperation<unknown>): unknown {
    const { store, remove } = this.#functions
    if ('expected' in operation && operation.expected !== undefined) {
      throw this.#refused('does not know what is there: it takes no `expected`')
    }
    if (operation.kind === 'remove') {
      if (remove === undefined) throw this.#refused(`has no function 'remove'`)
      return null
    }
    if (operation.kind !== 'replace') throw this.#refused(`takes whole values, not the operation '${operation.kind}'`)
    if (operation.condition !== undefined) {
      throw this.#refused(
        `takes no condition ('${operation.condition}'): its functions cannot look and write in one step`,
      )
    }
    if (store === undefined) throw this.#refused(`has no function 'store'`)
    assert(operation.row !== null && operation.row !== undefined, 'a value that is null goes by NULL_VALUE here')
    return operation.row
  }

  #refused(why: string): TidemarkError {
    return new TidemarkError('ROW_OPERATION', `the source '${this.name}' ${why}`)
  }

  async #call<T>(
    what: string,
    call: (context: FunctionContext) => T | Promise<T>,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<T> {
    if (this.#closed) throw new TidemarkError('SHUTTING_DOWN', `the source '${this.name}' is closed`)
    return callWithin(this.#clock, timeoutMs, what, call)
  }
}

function partly(name: string, stored: number, removed: number, cause: unknown): TidemarkError {
  return new TidemarkError(
    'SOURCE_PARTLY',
    `${stored} values were stored in '${name}', then 'remove' of ${removed} others failed: ${messageOf(cause)}`,
    { cause },
  )
}
