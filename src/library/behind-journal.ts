// The journal of a keyspace that writes behind, and with it the writes that are not in the source yet. A disk that failed is
// tried again: the journal is opened anew, with all that was acknowledged, and perhaps something that was not.
// Not for: when that is done, and sending (behind-sender.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { Journal, type OpenedJournal } from '../journal/journal.ts'
import { PendingWrites } from '../journal/pending-writes.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { decodeEntry, encodeEntry, type KeyedWrite } from './behind-entry.ts'
import type { ResolvedBehind } from './behind-options.ts'

export interface BehindJournalOptions {
  /** For messages. */
  readonly keyspace: string
  readonly settings: ResolvedBehind
  readonly clock: Clock
  readonly random: Random
  readonly storage: JournalStorage
  /** Asked of each write that is found at opening; throws JOURNAL_UNREADABLE. */
  readonly check: (write: KeyedWrite) => void
}

export class BehindJournal {
  readonly #options: BehindJournalOptions
  #journal: Journal
  #pending: PendingWrites

  private constructor(options: BehindJournalOptions, opened: OpenedJournal) {
    this.#options = options
    this.#journal = opened.journal
    this.#pending = pendingOf(options, opened)
  }

  /** Rejects as Journal.open does, and with JOURNAL_UNREADABLE. */
  static async open(options: BehindJournalOptions): Promise<BehindJournal> {
    return new BehindJournal(options, await openJournal(options))
  }

  /** Another object after `reopen`. */
  get pending(): PendingWrites {
    return this.#pending
  }

  get bytes(): number {
    return this.#journal.statistics().bytes
  }

  /** Nothing is taken until `reopen`. */
  get failed(): boolean {
    return this.#journal.failure !== undefined
  }

  /** Resolves once the writes are on the disk; they are pending then. Rejects as Journal.append does, all or none of them being pending. */
  async append(writes: readonly KeyedWrite[]): Promise<void> {
    const pending = this.#pending
    if (!pending.admit(writes.length)) throw this.#full(writes.length)
    try {
      await this.#journal.append(writes.map(encodeEntry), first => {
        for (const [at, { id, write }] of writes.entries()) pending.add(id, write, first + at)
      })
    } catch (error) {
      pending.withdraw(writes.length)
      throw error
    }
  }

  /** What is in the source, or was given up, need not be kept. */
  confirm(): void {
    if (!this.failed) this.#journal.confirm(this.#pending.confirmable())
  }

  /**
   * Opens the journal anew, while nothing is on its way to the source. Resolves to the keys of what it handed out; rejects as `open`
   * does, and then everything is as before.
   */
  async reopen(): Promise<readonly string[]> {
    await this.#journal.close()
    const opened = await openJournal(this.#options)
    this.#journal = opened.journal
    this.#pending = pendingOf(this.#options, opened)
    return Array.from(this.#pending.entries(), ([id]) => id)
  }

  close(): Promise<void> {
    return this.#journal.close()
  }

  #full(writes: number): TidemarkError {
    const { keyspace, settings } = this.#options
    const message =
      `${writes} writes to '${keyspace}', of which ${this.#pending.size} wait for the source already; ` +
      `${settings.maxPending} may (maxPending)`
    return new TidemarkError('JOURNAL_FULL', message)
  }
}

async function openJournal({ settings, clock, random, storage, check }: BehindJournalOptions): Promise<OpenedJournal> {
  const opened = await Journal.open({ directory: settings.directory, clock, random, storage })
  try {
    for (const { content } of opened.entries) check(decodeEntry(content))
  } catch (error) {
    await opened.journal.close()
    throw error
  }
  return opened
}

function pendingOf(
  { settings, clock, random }: BehindJournalOptions,
  { journal, entries }: OpenedJournal,
): PendingWrites {
  const pending = new PendingWrites({
    clock,
    random,
    confirmed: journal.confirmed,
    keysMax: settings.maxPending,
    batchMax: settings.batch,
    maxDelayMs: settings.maxDelayMs,
    retryMs: settings.retryMs,
    retryMaxMs: settings.retryMaxMs,
  })
  for (const { sequence, content } of entries) {
    const { id, write } = decodeEntry(content)
    pending.add(id, write, sequence)
  }
  return pending
}
