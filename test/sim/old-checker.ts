// The check of values of functions that are answered for a while after their time is over. It knows the service's values and since
// when, and what was asked; nothing of how old values are kept.
//
//   an answer     was held by the service at some instant between its `asOf` and now
//   from memory   one that is past its time to live says that it is stale, and is past it by no more than the keyspace allows
//   a bound       that was set, of the keyspace or of the call: nothing from memory is past it, stale or not
//   stale         is nothing that a session asked for, nor a call with a bound of 0
//   own writes    after a write was acknowledged no answer in its process is older
import { limits } from '../../src/base/limits.ts'
import type { SimProcess } from './machine.ts'
import type { Truth, Value } from './truth.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface OldAsked {
  readonly process: SimProcess
  readonly key: string
  readonly calledMs: number
  /** The same by the process' clock. */
  readonly calledMonotonicMs: number
  /** Infinity: none. */
  readonly boundMs: number
  /** Whether a session asks. */
  readonly session: boolean
}

export interface OldTold {
  readonly value: Value
  /** Infinity: nobody knows. */
  readonly ageMs: number
  readonly tier: 'near' | 'tier' | 'source'
  readonly stale: boolean
}

export interface OldCheckerOptions {
  readonly truth: Truth
  readonly time: VirtualTime
  readonly ttlMs: number
  /** For so long after its time a value may be answered. */
  readonly graceMs: number
  readonly count: (what: string) => void
  readonly violated: (what: string) => void
}

interface OwnWrite {
  readonly process: SimProcess
  readonly endMs: number
  readonly version: number
}

/** Stamps are in whole wall milliseconds. */
const SLACK_MS = 1.1

export class OldChecker {
  /** Wall clocks jumped, by which ages go. */
  clocksJumped = false
  readonly #options: OldCheckerOptions
  readonly #writes = new Map<string, OwnWrite[]>()

  constructor(options: OldCheckerOptions) {
    this.#options = options
  }

  acknowledged(process: SimProcess, key: string, value: Value, calledMs: number): void {
    const { truth, time, count, violated } = this.#options
    const version = truth.firstVersion(key, value, calledMs)
    if (version === undefined) {
      violated(`${process.name} was told that ${key} = ${value} is written, and the service never held it`)
      return
    }
    count('old checked: write')
    const writes = this.#writes.get(key) ?? []
    writes.push({ process, endMs: time.nowMs, version })
    this.#writes.set(key, writes)
  }

  /** Of `read`, which tells how old the answer is. */
  answered(asked: OldAsked, told: OldTold): void {
    const { time, ttlMs, graceMs, count } = this.#options
    count(`old: read ${told.tier}`)
    if (told.stale) count('old: read stale')
    this.#checkWrites(asked, told)
    if (told.stale && (asked.session || asked.boundMs === 0)) this.#wrong(asked, told, 'was not to be old')
    if (told.tier === 'source') {
      if (told.stale) this.#wrong(asked, told, 'is stale, of the source')
      this.#checkHeld(asked, told, Math.min(asked.calledMs, time.nowMs - told.ageMs))
      return
    }
    if (this.clocksJumped) return count('old skipped: wall clocks')
    // A reading of the clock counts for a moment, in which the process may have been stopped.
    if (time.nowMs <= asked.process.wentOnMs + limits.nearClockMs) return count('old skipped: just gone on')
    count('old checked: age')
    const past = told.ageMs - ttlMs
    if (past > (told.stale ? graceMs : 0) + SLACK_MS) {
      this.#wrong(asked, told, `is ${past.toFixed(2)} ms past its time, of which ${told.stale ? graceMs : 0} may be`)
    }
    if (told.ageMs > asked.boundMs + SLACK_MS)
      this.#wrong(asked, told, `is older than its bound of ${asked.boundMs} ms`)
    this.#checkHeld(asked, told, time.nowMs - told.ageMs)
  }

  /** Of `get`, which tells nothing: it has an age that `read` might have told. A load that was under way may be shared. */
  got(asked: OldAsked, value: Value): void {
    const { time, ttlMs, graceMs, count } = this.#options
    const { boundMs, calledMs, process } = asked
    const ageMs = boundMs === Infinity ? ttlMs + graceMs : boundMs
    const told = { value, ageMs, tier: 'near', stale: true } as const
    this.#checkWrites(asked, told)
    if (this.clocksJumped) return count('old skipped: wall clocks')
    if (time.nowMs <= process.wentOnMs + limits.nearClockMs) return count('old skipped: just gone on')
    count('old checked: got')
    const loadedMs = boundMs === Infinity ? process.worldMs(asked.calledMonotonicMs - limits.sourceTimeoutMs) : calledMs
    this.#checkHeld(asked, told, Math.min(loadedMs, time.nowMs - ageMs))
  }

  /** Of `get`, before the call returned: its time is not over. */
  hadAtOnce(asked: OldAsked, value: Value): void {
    const { ttlMs, count } = this.#options
    count('old: read at once')
    this.answered(asked, { value, ageMs: Math.min(ttlMs, asked.boundMs), tier: 'near', stale: false })
  }

  #checkHeld(asked: OldAsked, told: OldTold, fromMs: number): void {
    const { truth, time, count } = this.#options
    count('old checked: held')
    if (truth.version(asked.key, told.value, fromMs - SLACK_MS, time.nowMs) !== undefined) return
    this.#wrong(asked, told, `was not held since ${fromMs.toFixed(2)}`)
  }

  #checkWrites(asked: OldAsked, told: OldTold): void {
    const { truth, time, count } = this.#options
    const version = truth.version(asked.key, told.value, 0, time.nowMs) ?? -1
    for (const { process, endMs, version: its } of this.#writes.get(asked.key) ?? []) {
      if (process !== asked.process || asked.calledMs <= endMs) continue
      count('old checked: own write')
      if (version < its)
        this.#wrong(asked, told, `is older than version ${its}, written here until ${endMs.toFixed(2)}`)
    }
  }

  #wrong({ process, key, calledMs }: OldAsked, { value, ageMs, tier, stale }: OldTold, what: string): void {
    const { truth, time, violated } = this.#options
    violated(
      `${process.name} read ${key} = ${value} from ${tier}${stale ? ', stale' : ''}, ${ageMs.toFixed(2)} ms old ` +
        `(called at ${calledMs.toFixed(2)}), which ${what}. Held: ${truth.describe(key, time.nowMs - ageMs)}`,
    )
  }
}
