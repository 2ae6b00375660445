// Snapshots, from the supervisor's side: loads one when the server starts, and has them written when somebody asks, on a
// schedule and at the end. One at a time. Not for: the walk and the file (store/snapshot-*.ts), the thread (snapshot-thread.ts).
//
//   idle --> starting --> walking --> idle       a SAVE joins a snapshot only before its walk: what was written before
//               `--------------^                 the SAVE has to be in it. Those that come later share the next one.
import { statSync } from 'node:fs'
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { loadSnapshot, type LoadedSnapshot } from '../store/snapshot-reader.ts'
import type { Store } from '../store/store.ts'
import { DataLock } from './data-lock.ts'
import type { ServerMetrics } from './metrics.ts'
import type { SnapshotSettings } from './settings.ts'
import { runSnapshotThread } from './snapshot-thread.ts'

/** Who wants a snapshot: SAVE waits for it; BGSAVE, a signal and the schedule do not. */
export type SnapshotRequest = 'save' | 'background'

/** `busy`: one is being written in the background already. */
export type SnapshotAnswer = 'done' | 'busy'

export interface SnapshotsParts {
  readonly settings: SnapshotSettings
  readonly store: Store
  /** The number in the store of the thread that writes. */
  readonly thread: number
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly metrics: ServerMetrics
  /** The names of the keyspaces: their rows are the database's, whatever a snapshot from before says. */
  readonly keyspaces: readonly string[]
  /** How one is written: by default in a thread of its own. */
  readonly write?: typeof runSnapshotThread
}

export interface LoadWatch {
  readonly progress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

interface Run {
  readonly request: SnapshotRequest
  readonly done: Promise<void>
  walking: boolean
}

const COLON = 0x3a

export class Snapshots {
  readonly #parts: SnapshotsParts
  readonly #lock: DataLock
  #running: Run | undefined
  #next: Promise<void> | undefined
  #schedule: Timer | undefined
  /** A file that was refused is not ours to delete. */
  #keepOldAs: string | undefined
  /** There is something to lose: a start that failed leaves the file as it is. */
  #served = false
  #closed = false

  private constructor(parts: SnapshotsParts, lock: DataLock) {
    this.#parts = parts
    this.#lock = lock
  }

  /** Throws SNAPSHOT_UNWRITABLE or DATA_LOCKED: better now than at the first snapshot. */
  static open(parts: SnapshotsParts): Snapshots {
    const { file } = parts.settings
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) throw unwritable(file, 'it is no file')
    return new Snapshots(parts, DataLock.takeForSnapshot(file))
  }

  /** Fills the empty store. Rejects only when the file cannot be read at all, or `signal` is aborted. */
  async load({ progress, signal }: LoadWatch): Promise<void> {
    const { settings, store, clock, log, metrics } = this.#parts
    const { file } = settings
    const options = { file, wallMs: clock.wallMs(), accepts: this.#acceptor(), progress, signal }
    const startedMs = clock.monotonicMs()
    const outcome = await loadSnapshot(store, options).catch((thrown: unknown) => {
      if (signal?.aborted === true) throw thrown
      const message = `--snapshot: ${file} cannot be read: ${messageOf(thrown)} (environment TIDEMARK_SNAPSHOT)`
      throw new TidemarkError('SNAPSHOT_UNREADABLE', message, { cause: thrown })
    })
    if (outcome.kind === 'refused') {
      this.#keepOldAs = `${file}.refused`
      log(
        `snapshot ${file} was refused, for it ${outcome.reason}: starting empty; the next one moves it to ${this.#keepOldAs}`,
      )
    } else if (outcome.kind === 'absent') log(`there is no snapshot ${file} yet: starting empty`)
    else {
      metrics.set('tidemark_snapshot_loaded_records', outcome.stored)
      metrics.set('tidemark_snapshot_loaded_expired', outcome.expired)
      log(loadedLine(file, outcome, clock.monotonicMs() - startedMs))
    }
  }

  #acceptor(): (bytes: Buffer, start: number, end: number) => boolean {
    const names = new Set(this.#parts.keyspaces)
    if (names.size === 0) return () => true
    return (bytes, start, end) => {
      const colon = bytes.subarray(start, end).indexOf(COLON)
      return colon < 0 || !names.has(bytes.toString('utf8', start, start + colon))
    }
  }

  /** The server serves now. Clients may have asked for snapshots before: the threads listen a little earlier. */
  start(): void {
    this.#served = true
    this.#scheduleNext()
  }

  #scheduleNext(): void {
    const { settings, clock } = this.#parts
    if (settings.everyMs === 0) return
    const due = (): void => {
      if (this.#running === undefined) this.#begin('background').done.catch(() => {})
      this.#scheduleNext()
    }
    this.#schedule = clock.timer(settings.everyMs, due, { unref: true })
  }

  /**
   * For 'save' resolves once a snapshot is on the disk that has all that was written before the call, and rejects with
   * SNAPSHOT_FAILED; for 'background' it resolves as soon as one has begun, and a failure is logged.
   */
  async request(request: SnapshotRequest): Promise<SnapshotAnswer> {
    if (this.#closed) throw new TidemarkError('SHUTTING_DOWN', 'no snapshot is begun while the server closes')
    if (this.#running?.request === 'background') return 'busy'
    if (request === 'save') await this.#save()
    else if (this.#running !== undefined) return 'busy'
    else this.#begin('background').done.catch(() => {})
    return 'done'
  }

  #save(): Promise<void> {
    const running = this.#running
    if (running === undefined) return this.#begin('save').done
    if (!running.walking) return running.done
    const go = (): Promise<void> => {
      this.#next = undefined
      return this.#save()
    }
    return (this.#next ??= running.done.then(go, go))
  }

  #begin(request: SnapshotRequest): Run {
    const written = this.#write(() => (run.walking = true))
    const done = written.finally(() => {
      this.#running = undefined
    })
    const run: Run = { request, walking: false, done }
    this.#running = run
    return run
  }

  async #write(begins: () => void): Promise<void> {
    const { settings, store, thread, clock, log, metrics } = this.#parts
    const startedMs = clock.monotonicMs()
    const job = { file: settings.file, keepOldAs: this.#keepOldAs, wallMs: clock.wallMs() }
    metrics.set('tidemark_snapshot_in_progress', 1)
    try {
      const died = (): void => void store.recover(thread)
      const write = this.#parts.write ?? runSnapshotThread
      const written = await write({ store: store.shared, thread, job }, { begins, died })
      this.#keepOldAs = undefined
      metrics.add('tidemark_snapshots_total', 1)
      metrics.set('tidemark_snapshot_last_failed', 0)
      metrics.set('tidemark_snapshot_last_success_seconds', job.wallMs / 1000)
      metrics.set('tidemark_snapshot_seconds', (clock.monotonicMs() - startedMs) / 1000)
      metrics.set('tidemark_snapshot_bytes', written.bytes)
      metrics.set('tidemark_snapshot_records', written.records)
    } catch (thrown) {
      const message = `snapshot ${settings.file} could not be written: ${messageOf(thrown)}; the one before stays`
      metrics.add('tidemark_snapshot_failures_total', 1)
      metrics.set('tidemark_snapshot_last_failed', 1)
      log(message)
      throw new TidemarkError('SNAPSHOT_FAILED', message, { cause: thrown })
    } finally {
      metrics.set('tidemark_snapshot_in_progress', 0)
    }
  }

  /** Writes the last one, if `keep` and if the server has served. Nobody writes to the store any more. */
  async stop(keep: boolean): Promise<void> {
    this.#closed = true
    this.#schedule?.cancel()
    try {
      while (this.#running !== undefined) await this.#running.done.catch(() => {})
      // What kept it from being written has been logged.
      if (keep && this.#served) await this.#begin('save').done.catch(() => {})
    } finally {
      this.#lock.release()
    }
  }
}

function unwritable(file: string, why: string): TidemarkError {
  const message = `--snapshot: ${file} cannot be written: ${why} (environment TIDEMARK_SNAPSHOT)`
  return new TidemarkError('SNAPSHOT_UNWRITABLE', message)
}

function loadedLine(
  file: string,
  { stored, expired, unaccepted, tooLarge, bytes }: LoadedSnapshot,
  ms: number,
): string {
  const count = (records: number): string => records.toLocaleString('en-US')
  const left = [
    ...(expired === 0 ? [] : [`${count(expired)} had expired`]),
    ...(unaccepted === 0 ? [] : [`${count(unaccepted)} left out, whose keys are rows now`]),
    ...(tooLarge === 0 ? [] : [`${count(tooLarge)} left out, too large for this memory`]),
  ]
  const seconds = (ms / 1000).toFixed(1)
  return `snapshot ${file} loaded: ${[`${count(stored)} key${stored === 1 ? '' : 's'}`, ...left].join(', ')} (${count(bytes)} bytes, ${seconds} s)`
}
