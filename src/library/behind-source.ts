// A source that is written behind: a write is acknowledged once it is in the journal on this machine's disk, and goes to the
// source after that. What this process loads is what the source shows, with what waits over it.
//
//   write   journal, fsync, acknowledged ... batch -> source -> confirmed in the journal
//   load    what waits, else the source; what came to wait meanwhile goes over that
//
// To the cache it has no log, whatever the source has: a value that is only in the journal has no place in one.
// Not for: several processes, of which only this one sees what waits; the tier that processes share, which holds what the
// source has (docs/decisions).
import { isDeepStrictEqual } from 'node:util'
import { TidemarkError } from '../base/errors.ts'
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import { LOGLESS_LOAD, LOGLESS_WRITE } from '../coherence/logless-stamp.ts'
import type { PendingWrite, Write } from '../journal/pending-writes.ts'
import {
  RowFailure,
  type LoadResult,
  type RowId,
  type RowOutcome,
  type RowWrite,
  type Source,
  type SourcePosition,
  type WriteResult,
} from '../source/source.ts'
import type { KeyedWrite, WriteValues } from './behind-entry.ts'
import type { BehindJournal } from './behind-journal.ts'
import { BehindSender, type BehindSenderOptions } from './behind-sender.ts'

export interface BehindSourceOptions extends Omit<BehindSenderOptions, 'send' | 'gaveUp'> {
  /** What is written to. Closed by whoever opened it, after this. */
  readonly source: Source<unknown>
  readonly values: WriteValues
  /** Whether the source takes removals. */
  readonly removes: boolean
  /** The value is undefined for a removal. */
  readonly gaveUp: (id: string, value: unknown, error: TidemarkError) => void
}

export interface BehindStats {
  /** Keys whose latest write is not in the source yet. */
  readonly pending: number
  /** Since when the oldest of these waits, in ms; 0 when none does. */
  readonly oldestPendingMs: number
  /** Writes that the source failed to take, and that were, or will be, sent again. */
  readonly retries: number
  /** Writes that never came to the source. */
  readonly givenUp: number
  /** Of the journal's files. */
  readonly journalBytes: number
}

export class BehindSource implements Source<unknown> {
  readonly name: string
  readonly epoch: bigint = LOGLESS_EPOCH
  readonly log = false
  readonly loadMs: number | undefined
  readonly #options: BehindSourceOptions
  readonly #journal: BehindJournal
  readonly #sender: BehindSender
  #closing: Promise<void> | undefined

  /** Sends at once what the journal handed out. */
  constructor(options: BehindSourceOptions) {
    const { keyspace, source, journal, values, gaveUp } = options
    this.name = keyspace
    this.loadMs = source.loadMs
    this.#options = options
    this.#journal = journal
    this.#sender = new BehindSender({
      ...options,
      send: writes => this.#send(writes),
      gaveUp: ({ key, write }, error) =>
        gaveUp(key, write.kind === 'set' ? values.decode(key, write.value) : undefined, error),
    })
    this.#sender.kick()
  }

  /** What waits when this is called is never left out, whatever is sent meanwhile; and it is shown when the source fails. */
  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const before = ids.map(id => this.#journal.pending.get(id))
    const asked = ids.filter((_, at) => before[at] === undefined)
    const loaded = asked.length === 0 ? [] : await this.#loaded(keyspace, asked, asked.length < ids.length)
    const found = new Map(asked.map((id, at) => [id, loaded[at] ?? null]))
    const rows = ids.map((id, at) => {
      const write = this.#journal.pending.get(id) ?? before[at]
      return write === undefined ? found.get(id) : this.#shown(id, write)
    })
    return { rows, stamp: LOGLESS_LOAD }
  }

  /**
   * Resolves once the writes are in the journal. Takes 'replace' without a condition, and 'remove'; ROW_OPERATION otherwise.
   * Outcomes say `changed` without knowing, and `before: null`. Rejects with JOURNAL_FULL; with JOURNAL_FAILED, after which it
   * is not known whether the writes take place.
   */
  async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    if (this.#closing !== undefined) throw new TidemarkError('SHUTTING_DOWN', `the cache is closed`)
    const kept = writes.map(write => this.#kept(write))
    try {
      await this.#journal.append(kept)
    } finally {
      this.#sender.kick()
    }
    const outcomes = writes.map(({ operation }, at): RowOutcome<unknown> => {
      const { id, write } = kept[at]!
      const after = operation.kind === 'replace' ? this.#after(id, write, operation.row) : null
      return { changed: true, before: null, after, fields: 0, exact: true }
    })
    return { outcomes, stamp: LOGLESS_WRITE }
  }

  /** See BehindSender.flush. */
  flush(): Promise<void> {
    return this.#sender.flush()
  }

  stats(): BehindStats {
    const { clock, journal } = this.#options
    const oldestMs = journal.pending.oldestMs()
    return {
      pending: journal.pending.size,
      oldestPendingMs: oldestMs === undefined ? 0 : clock.monotonicMs() - oldestMs,
      retries: this.#sender.retries,
      givenUp: this.#sender.givenUp,
      journalBytes: journal.bytes,
    }
  }

  /** There is no log: always the same. */
  position(): Promise<SourcePosition> {
    return Promise.resolve({ position: 0n, epoch: LOGLESS_EPOCH })
  }

  /** Sends what the source takes in time; the rest stays in the journal. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#sender.close()
    await this.#journal.close()
  }

  /** `apart`: others, which wait, were asked for with these, and are not to fail with them. */
  async #loaded(keyspace: string, ids: readonly RowId[], apart: boolean): Promise<readonly unknown[]> {
    try {
      return (await this.#options.source.load(keyspace, ids)).rows
    } catch (error) {
      if (!apart) throw error
      return ids.map(() => new RowFailure(error))
    }
  }

  #shown(id: string, write: Write): unknown {
    return write.kind === 'set' ? this.#options.values.decode(id, write.value) : null
  }

  // A row is shown as its table will: as JSON spells it.
  #after(id: string, write: Write, row: unknown): unknown {
    return this.#options.values.rows ? this.#shown(id, write) : row
  }

  #kept({ id, operation }: RowWrite<unknown>): KeyedWrite {
    if (operation.kind === 'remove' && operation.expected === undefined) {
      if (this.#options.removes) return { id, write: { kind: 'remove' } }
      throw this.#refused(`has no function 'remove'`)
    }
    if (operation.kind !== 'replace' || operation.condition !== undefined || operation.expected !== undefined) {
      throw this.#refused('is written behind: it takes whole values and removals, without conditions')
    }
    return { id, write: { kind: 'set', value: this.#options.values.encode(id, operation.row) } }
  }

  #refused(why: string): TidemarkError {
    return new TidemarkError('ROW_OPERATION', `the source '${this.name}' ${why}`)
  }

  async #send(writes: readonly PendingWrite[]): Promise<readonly string[]> {
    const { source, keyspace, values } = this.#options
    const rows = writes.map(({ key, write }) => this.#shown(key, write))
    const { outcomes } = await source.write(
      writes.map(({ key, write }, at) => {
        const operation =
          write.kind === 'set' ? { kind: 'replace' as const, row: rows[at] } : { kind: 'remove' as const }
        return { keyspace, id: key, operation }
      }),
    )
    // Defaults, and what a table makes of a value.
    const otherwise = outcomes.map(({ after, exact }, at) => !exact || !isDeepStrictEqual(after, rows[at]))
    return values.rows ? writes.filter((_, at) => otherwise[at]).map(({ key }) => key) : []
  }
}
