// What a user may set of writing behind, and what it comes to, checked.
import { join } from 'node:path'
import { limits } from '../base/limits.ts'
import type { Duration } from '../config/units.ts'
import { durationOf, invalid, known, oneOf, within } from './option-checks.ts'
import { TableSource } from './table-source.ts'

export interface BehindRetry {
  /** The source is tried again so long after a failure, and twice as long after each further one. */
  readonly first?: Duration | undefined
  /** The longest of these times. */
  readonly max?: Duration | undefined
  /**
   * A write that the source refused so often, by itself, while it took others, is given up: an `error` event tells which. Infinity: never, and
   * the journal keeps it and all that came after it.
   */
  readonly attempts?: number | undefined
}

export interface BehindOptions {
  readonly mode: 'behind'
  /** Where journals are; each keyspace has a folder of its own in it. Instead of the one of `createTidemark`. */
  readonly directory?: string | undefined
  /** Keys that may wait for the source. Past it, writes are refused with JOURNAL_FULL. */
  readonly maxPending?: number | undefined
  /** How long a write waits for others to go with it. */
  readonly maxDelay?: Duration | undefined
  /** Writes of one call to the source. */
  readonly batch?: number | undefined
  readonly retry?: BehindRetry | undefined
  /** How long closing the cache waits for the source to take what waits. What it has not taken then, the next start sends. */
  readonly closeTimeout?: Duration | undefined
}

/** When a write is acknowledged: once the source has it, or once the journal on this machine's disk has it. */
export type WriteMode = 'through' | 'behind' | BehindOptions

export interface JournalOptions {
  /** The folder of the journals of keyspaces that write behind. On a disk of this machine. */
  readonly directory: string
}

export interface ResolvedBehind {
  /** Of this keyspace alone. */
  readonly directory: string
  readonly maxPending: number
  readonly maxDelayMs: number
  readonly batch: number
  readonly retryMs: number
  readonly retryMaxMs: number
  readonly attempts: number
  readonly closeMs: number
}

const members = 'mode directory maxPending maxDelay batch retry closeTimeout'.split(' ')

/** undefined: it writes through. Throws OPTION_INVALID. */
export function resolveBehind(
  name: string,
  write: WriteMode | undefined,
  source: unknown,
  journal: JournalOptions | undefined,
): ResolvedBehind | undefined {
  const path = `keyspace '${name}': write`
  if (typeof write !== 'object') {
    if (write !== undefined) oneOf(path, write, ['through', 'behind'])
    if (write !== 'behind') return undefined
  }
  const options = typeof write === 'object' ? write : ({ mode: 'behind' } as const)
  known(path, `${path}.`, options, members)
  oneOf(`${path}.mode`, options.mode, ['behind'])
  checkSource(path, source)
  const { maxPending = limits.behindPendingDefault, batch = limits.behindBatchDefault } = options
  within(`${path}.maxPending`, maxPending, 1, limits.behindPendingMax)
  within(`${path}.batch`, batch, 1, limits.behindBatchMax)
  return {
    directory: join(directoryOf(path, options.directory ?? journal?.directory), `${name}.behind`),
    maxPending,
    batch,
    maxDelayMs: durationOf(`${path}.maxDelay`, options.maxDelay) ?? limits.behindDelayMs,
    ...resolveRetry(`${path}.retry`, options.retry),
    closeMs: durationOf(`${path}.closeTimeout`, options.closeTimeout) ?? limits.behindCloseMs,
  }
}

function resolveRetry(
  path: string,
  retry: BehindRetry = {},
): Pick<ResolvedBehind, 'retryMs' | 'retryMaxMs' | 'attempts'> {
  known(path, `${path}.`, retry, ['first', 'max', 'attempts'])
  const retryMs = durationOf(`${path}.first`, retry.first) ?? limits.behindRetryMs
  const retryMaxMs = durationOf(`${path}.max`, retry.max) ?? Math.max(retryMs, limits.behindRetryMaxMs)
  if (retryMs === 0) throw invalid(`${path}.first`, retry.first, 'a duration above 0')
  if (retryMaxMs < retryMs) throw invalid(`${path}.max`, retry.max, `no less than the first, ${retryMs} ms`)
  const { attempts = limits.behindAttempts } = retry
  if (attempts !== Infinity && !(Number.isSafeInteger(attempts) && attempts > 0)) {
    throw invalid(`${path}.attempts`, attempts, 'a whole number from 1 on, or Infinity')
  }
  return { retryMs, retryMaxMs, attempts }
}

function checkSource(path: string, source: unknown): void {
  if (source === undefined) throw invalid(path, 'behind', `'through', where there is no source to write to`)
  if (source instanceof TableSource) {
    if (source.view !== undefined) throw invalid(path, 'behind', `'through' for a view, which is not written to`)
  } else if (typeof (source as { readonly store?: unknown }).store !== 'function') {
    throw invalid(path, 'behind', `'through' for functions without 'store'`)
  }
}

function directoryOf(path: string, directory: unknown): string {
  if (typeof directory === 'string' && directory !== '') return directory
  const allowed = `a folder for the journal: { mode: 'behind', directory }, or createTidemark({ journal: { directory } })`
  throw invalid(`${path}.directory`, directory, allowed)
}
