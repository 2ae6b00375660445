// Options of loading, as types, and what they come to, checked. Not for: what they do (loading.ts, guarded-source.ts).
import { limits } from '../base/limits.ts'
import type { LoadLimits } from '../cache/source-loads.ts'
import type { Duration } from '../config/units.ts'
import type { SourceFunctions } from '../source/functions-source.ts'
import type { BreakerSettings } from './breaker.ts'
import type { Guards } from './guarded-source.ts'
import { durationOf, invalid, known, within } from './option-checks.ts'

/**
 * What may be done with values whose time is over. None of it goes past a bound that was set: `maxStaleness` of the keyspace or
 * of the call, nor is it for calls with a session. For rows of a table "its time" is the default bound, and its `ttl` if it
 * has one; where the table's `maxStaleness` is set, `whenStale` alone says what happens past it.
 */
export interface OldValueOptions {
  /** For so long after its time is over a value is answered at once, and loaded anew meanwhile (stale-while-revalidate). */
  readonly swr?: Duration | undefined
  /** For so long after its time is over a value is answered when the load fails. */
  readonly staleIfError?: Duration | undefined
  /**
   * Values that are asked for are loaded anew before their time is over, at random: the sooner the longer loads take and the
   * more often they are asked for, so that processes do not load together. true is 1; a higher number is sooner.
   * (XFetch: Vattani, Chierichetti, Lowenstein, "Optimal probabilistic cache stampede prevention", VLDB 2015.) Not for tables.
   */
  readonly refreshAhead?: boolean | number | undefined
}

export interface BreakerOptions {
  /** Loads that fail in a row, until the source is left alone. */
  readonly failures: number
  /** For how long; then one load finds out. */
  readonly halfOpenAfter: Duration
}

export interface LoadOptions {
  /** Keys of one query, at most. */
  readonly maxBatch?: number | undefined
  /** How long the first key of a query waits for others. Without it: for those that are missed in the same turn. */
  readonly batchWindow?: Duration | undefined
  /** Queries under way, or builds. */
  readonly concurrency?: number | undefined
  /** How long a load may take; it fails then with SOURCE_TIMEOUT, and a function's signal is aborted. */
  readonly timeout?: Duration | undefined
  /** How long a load may take until the old value is answered meanwhile, if `staleIfError` allows it. */
  readonly softTimeout?: Duration | undefined
  /** Times that a load that failed is tried again, after growing pauses, before it counts as failed. */
  readonly retries?: number | undefined
  /** For how long a failed load is answered with its error, without asking the source. Without it: not at all. */
  readonly cacheErrors?: Duration | undefined
  /**
   * Leaves a source alone that fails: calls are rejected with SOURCE_BREAKER, or answered with old values. Keyspaces of one source (a
   * database; the same object of functions) that have one share it, and set it alike.
   */
  readonly breaker?: BreakerOptions | undefined
  /**
   * Asked when the load fails. What it has is answered as stale, since nobody knows how old it is, and is not kept; so it is
   * for calls without a bound and without a session.
   */
  readonly fallback?: Pick<SourceFunctions, 'load'> | undefined
}

export interface ResolvedOldValues {
  readonly swrMs: number
  readonly staleIfErrorMs: number
  /** 0: none. */
  readonly refreshAhead: number
}

export interface ResolvedLoad extends Omit<Guards, 'breaker'> {
  /** Of the source's breaker. */
  readonly breaker: BreakerSettings | undefined
  readonly limits: LoadLimits
  /** Infinity: none. */
  readonly softTimeoutMs: number
  /** 0: not at all. */
  readonly cacheErrorsMs: number
  readonly fallback: Pick<SourceFunctions, 'load'> | undefined
}

/** What builds are not: asked for together, or of somebody else. */
const ofSources = ['maxBatch', 'batchWindow', 'retries', 'breaker', 'fallback'] as const
const loadMembers = [...ofSources, 'concurrency', 'timeout', 'softTimeout', 'cacheErrors']
const REFRESH_AHEAD_MAX = 100

/** Throws OPTION_INVALID. */
export function resolveOldValues(path: string, options: OldValueOptions, hasLog: boolean): ResolvedOldValues {
  const { refreshAhead = false } = options
  const beta = Number(refreshAhead)
  if (Number.isNaN(beta) || beta < 0 || beta > REFRESH_AHEAD_MAX) {
    throw invalid(`${path}refreshAhead`, refreshAhead, `true, false, or a number from 0 to ${REFRESH_AHEAD_MAX}`)
  }
  if (hasLog && beta > 0)
    throw invalid(`${path}refreshAhead`, refreshAhead, 'false: the log keeps rows of a table true')
  return {
    swrMs: durationOf(`${path}swr`, options.swr) ?? 0,
    staleIfErrorMs: durationOf(`${path}staleIfError`, options.staleIfError) ?? 0,
    refreshAhead: beta,
  }
}

/** Throws OPTION_INVALID. */
export function resolveLoad(
  path: string,
  { load = {}, staleIfError }: { readonly load?: LoadOptions | undefined } & OldValueOptions,
  source: object | undefined,
): ResolvedLoad {
  const at = `${path}load.`
  known(`${path}load`, at, load, loadMembers)
  if (source === undefined) {
    for (const member of ofSources) {
      if (load[member] !== undefined) throw invalid(`${at}${member}`, load[member], 'nothing: there is no source')
    }
  }
  const { retries = 0, fallback } = load
  within(`${at}retries`, retries, 0, limits.loadRetriesMax)
  const timeoutMs = span(`${at}timeout`, load.timeout)
  const softTimeoutMs = span(`${at}softTimeout`, load.softTimeout) ?? Infinity
  if (softTimeoutMs !== Infinity && staleIfError === undefined) {
    throw invalid(
      `${at}softTimeout`,
      load.softTimeout,
      'nothing without staleIfError, which says how old a value may be',
    )
  }
  if (softTimeoutMs !== Infinity && softTimeoutMs >= (timeoutMs ?? Infinity)) {
    throw invalid(`${at}softTimeout`, load.softTimeout, `less than timeout ('${load.timeout}')`)
  }
  if (fallback !== undefined && typeof fallback.load !== 'function') {
    throw invalid(`${at}fallback`, fallback, '{ load }')
  }
  return {
    limits: resolveLimits(at, load),
    timeoutMs,
    softTimeoutMs,
    retries,
    cacheErrorsMs: durationOf(`${at}cacheErrors`, load.cacheErrors) ?? 0,
    breaker: load.breaker === undefined ? undefined : resolveBreaker(`${at}breaker.`, load.breaker),
    fallback,
  }
}

function resolveLimits(at: string, { maxBatch, batchWindow, concurrency }: LoadOptions): LoadLimits {
  if (maxBatch !== undefined) within(`${at}maxBatch`, maxBatch, 1, limits.loadBatchMax)
  if (concurrency !== undefined) within(`${at}concurrency`, concurrency, 1, limits.loadConcurrencyMax)
  const windowMs = durationOf(`${at}batchWindow`, batchWindow)
  return {
    ...(maxBatch === undefined ? {} : { batchMax: maxBatch }),
    ...(windowMs === undefined ? {} : { windowMs }),
    ...(concurrency === undefined ? {} : { underWayMax: concurrency }),
  }
}

function resolveBreaker(at: string, breaker: BreakerOptions): BreakerSettings {
  known(at.slice(0, -1), at, breaker, ['failures', 'halfOpenAfter'])
  const { failures, halfOpenAfter } = breaker
  within(`${at}failures`, failures, 1, limits.breakerFailuresMax)
  return { failures, halfOpenAfterMs: span(`${at}halfOpenAfter`, halfOpenAfter) ?? missing(`${at}halfOpenAfter`) }
}

function missing(option: string): never {
  throw invalid(option, 'nothing', 'a duration')
}

/** A duration above 0. */
function span(option: string, value: Duration | undefined): number | undefined {
  const ms = durationOf(option, value)
  if (ms === 0) throw invalid(option, value, 'a duration above 0')
  return ms
}
