// Between a call whose value is not in memory and its load: what is answered instead of waiting, and instead of failing.
//
//   old value, not longer past its time than swr            answered at once; one load goes on behind it
//   the last load of the key failed a moment ago            its error where errors are cached; otherwise who has an old value
//                                                           or a fallback answers that, and others wait with their load
//   the load takes longer than softTimeout                  the old value, if staleIfError allows; the load goes on
//   the load fails                                          fallback; else the old value, if staleIfError allows; else the error
//
// None of it for calls whose bound it would break: what is old is answered only within an explicit bound, and never where a
// session asks, or a bound of 0. What the fallback has is answered only where there is no bound at all.
// Not for: attempts, timeouts and breakers (guarded-source.ts); where values come from (cache/reader.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError, type ErrorCode } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { payloadOf } from '../near/entry.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import { BuiltNothing } from './built-values.ts'
import type { Events } from './events.ts'
import { FailedLoads } from './failed-loads.ts'
import { Fallback, type Found } from './fallback.ts'
import { OldValues, type OldValue } from './old-values.ts'
import type { ResolvedKeyspace } from './options.ts'
import type { ProofClock } from './proof-clock.ts'
import { RefreshAhead } from './refresh-ahead.ts'

export interface LoadCall {
  /** The bound that was set, for the call or the keyspace; Infinity: none. */
  readonly boundMs: number
  /** A session asks: it has its own idea of what is too old. */
  readonly session: boolean
  /** Only what is proved. */
  readonly proved: boolean
  readonly swrMs: number
  readonly staleIfErrorMs: number
}

export interface LoadingParts {
  readonly settings: ResolvedKeyspace
  readonly places: ObjectPlaces
  readonly clock: Clock
  readonly proofClock: ProofClock
  readonly random: Random
  readonly events: Events
}

/** Errors that say nothing of the key's load: of the call, of the breaker, of the cache itself. */
const harmless: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'KEY_INVALID',
  'OPTION_INVALID',
  'ROW_KEY_INVALID',
  'SHUTTING_DOWN',
  'STALE',
])
/** Errors that are no reason to leave the key alone: others see to the source. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['SOURCE_BREAKER', 'SOURCE_OVERLOADED'])

export class Loading {
  readonly #settings: ResolvedKeyspace
  readonly #clock: Clock
  readonly #events: Events
  readonly #old: OldValues
  readonly #failed: FailedLoads
  readonly #fallback: Fallback | undefined
  /** Keys that are loaded behind answers. */
  readonly #behind = new Set<string>()
  /** undefined: values are not loaded before their time is over. */
  readonly ahead: RefreshAhead | undefined

  constructor({ settings, places, clock, proofClock, random, events }: LoadingParts) {
    const { name, load, swrMs, staleIfErrorMs, refreshAhead } = settings
    this.#settings = settings
    this.#clock = clock
    this.#events = events
    this.#old = new OldValues(settings, places, clock, proofClock)
    this.#failed = new FailedLoads(clock, random, load.cacheErrorsMs)
    this.#fallback = load.fallback && new Fallback(settings, load.fallback, clock)
    this.ahead = refreshAhead > 0 ? new RefreshAhead(refreshAhead, settings, places, random) : undefined
    const graceMs = Math.max(swrMs, staleIfErrorMs)
    if (graceMs > 0) places.keep(name, graceMs)
  }

  /** What is answered to the call. `load` asks the reader, which looks into memory once more; `behind` does without the call. */
  async find(
    id: string,
    call: LoadCall,
    load: () => Promise<Found>,
    behind: () => Promise<Found> = load,
  ): Promise<Found> {
    // What the source shows after the call, and nothing else.
    if (call.boundMs === 0) return this.#attempt(id, load)
    const old = this.#allowed(id, call)
    if (old !== undefined && old.pastMs < call.swrMs) {
      this.behind(id, behind)
      return this.#found(old)
    }
    if (this.#failed.isPaused(id) && !this.#isFresh(id, call)) {
      const instead = await this.#instead(id, call)
      if (instead !== undefined) return instead
      await this.#failed.wait(id)
    }
    const loading = this.#orInstead(id, call, this.#attempt(id, load))
    if (old === undefined || old.pastMs >= call.staleIfErrorMs) return loading
    return this.#orSoon(id, call, loading)
  }

  /**
   * Loads the key while others are answered without; once at a time, and not where it failed a moment ago. `load` resolves to
   * what it found, or to whether it has loaded anything.
   */
  behind(id: string, load: () => Promise<Found | boolean>): void {
    if (this.#behind.has(id) || this.#failed.isPaused(id)) return
    this.#behind.add(id)
    void this.#loadBehind(id, load)
  }

  async #loadBehind(id: string, load: () => Promise<Found | boolean>): Promise<void> {
    const began = this.#failed.begin()
    const beganMs = this.#clock.monotonicMs()
    try {
      const found = await load()
      this.#failed.forget(id)
      if (found === true || (found !== false && found.tier === 'source')) {
        this.ahead?.took(this.#clock.monotonicMs() - beganMs)
      }
    } catch (error) {
      this.#note(id, error, began)
      this.#tell(error)
    } finally {
      this.#behind.delete(id)
    }
  }

  /** The key was written or given up: its loads have no past. */
  forget(id: string): void {
    this.#failed.forget(id)
  }

  clear(): void {
    this.#failed.clear()
  }

  async #attempt(id: string, load: () => Promise<Found>): Promise<Found> {
    const began = this.#failed.begin()
    const beganMs = this.#clock.monotonicMs()
    try {
      const found = await load()
      this.#failed.forget(id)
      if (found.tier === 'source') this.ahead?.took(this.#clock.monotonicMs() - beganMs)
      return found
    } catch (error) {
      this.#note(id, error, began)
      throw error
    }
  }

  #note(id: string, error: unknown, began: number): void {
    if (!isFailure(error) || isOneOf(passing, error)) return
    // The source has answered, only not as the schema says.
    const pauses = !(error instanceof TidemarkError && error.code === 'VALUE_INVALID')
    this.#failed.failed(id, error, began, pauses)
  }

  async #orInstead(id: string, call: LoadCall, loading: Promise<Found>): Promise<Found> {
    try {
      return await loading
    } catch (error) {
      const instead = isFailure(error) ? await this.#instead(id, call) : undefined
      if (instead === undefined) throw error
      this.#tell(error)
      return instead
    }
  }

  // The old value as it is by then; if it may not be answered any more, the load is waited for.
  #orSoon(id: string, call: LoadCall, loading: Promise<Found>): Promise<Found> {
    const { softTimeoutMs } = this.#settings.load
    if (softTimeoutMs === Infinity) return loading
    const { promise, resolve, reject } = Promise.withResolvers<Found>()
    const timer = this.#clock.timer(softTimeoutMs, () => {
      const old = this.#ifFailed(id, call)
      if (old !== undefined) resolve(old)
    })
    loading.then(resolve, reject).finally(() => timer.cancel())
    return promise
  }

  async #instead(id: string, call: LoadCall): Promise<Found | undefined> {
    if (this.#fallback !== undefined && call.boundMs === Infinity && !call.session && !call.proved) {
      try {
        return await this.#fallback.load(id)
      } catch (error) {
        this.#tell(error)
      }
    }
    return this.#ifFailed(id, call)
  }

  #ifFailed(id: string, call: LoadCall): Found | undefined {
    const old = this.#allowed(id, call)
    return old !== undefined && old.pastMs < call.staleIfErrorMs ? this.#found(old) : undefined
  }

  #allowed(id: string, { boundMs, session, proved, swrMs, staleIfErrorMs }: LoadCall): OldValue | undefined {
    if (session || (swrMs === 0 && staleIfErrorMs === 0)) return undefined
    const old = this.#old.find(id)
    if (old === undefined || old.pastMs < 0 || old.ageMs > boundMs) return undefined
    return proved && !old.proved ? undefined : old
  }

  #isFresh(id: string, { boundMs }: LoadCall): boolean {
    const old = this.#old.find(id)
    return old !== undefined && old.pastMs < 0 && old.ageMs <= boundMs
  }

  #found({ value, ageMs }: OldValue): Found {
    return { value: payloadOf(value), asOfMs: this.#clock.monotonicMs() - ageMs, tier: 'near', stale: true }
  }

  #tell(error: unknown): void {
    if (isFailure(error)) this.#events.emit('error', { keyspace: this.#settings.name, error })
  }
}

/** Of the load. */
function isFailure(error: unknown): boolean {
  return !(error instanceof BuiltNothing) && !isOneOf(harmless, error)
}

function isOneOf(codes: ReadonlySet<ErrorCode>, error: unknown): boolean {
  return error instanceof TidemarkError && codes.has(error.code)
}
