// The check of sources without a log. It knows the store's values and since when (truth.ts), and of the product what the tier
// answered to each write; of the protocol it knows nothing.
//
//   an answer         was held by the store at some instant between its `asOf` and now
//   from memory       its `asOf` is no longer ago than the time to live, and the bound if there is one
//   own writes        after a write was acknowledged, and the tier has its value or nothing of the key, no answer is older than it: in
//                     its own process from then on, in others once they have heard of it, or noticed that they hear nothing
//   unknown writes    of a write that may yet take place, and does while its fence stands, no older value is left in memory then
//   cleared           what the store no longer held when the keyspace was given up is no answer after that, in the same way as own writes
//   in the end        everybody answers what the store holds, from memory
//
// Own writes hold through the death of a primary: the one that takes over begins its lanes anew. They do not hold where two
// primaries answer, or one that was brought back from a snapshot; an unknown write is not covered either where its fence was lost
// (evicted, or with its lane), where another writer came in between, or where processes do not understand each other's records.
// All of these are counted as skipped.
import { limits } from '../../src/base/limits.ts'
import type { LoglessAnswer } from './logless-node.ts'
import type { SimProcess } from './machine.ts'
import { valueOf } from './row.ts'
import type { TierHeard } from './tier-heard.ts'
import type { Truth, Value } from './truth.ts'
import type { VirtualTime } from './virtual-time.ts'

/** From one instant to another, which may not have come yet. */
export interface Span {
  readonly fromMs: number
  untilMs: number
}

export interface LoglessAsked {
  readonly process: SimProcess
  readonly key: string
  readonly boundMs: number
  readonly calledMs: number
}

/** A write of one key, acknowledged or not. */
export interface LoglessWrite {
  readonly process: SimProcess
  readonly key: string
  readonly value: Value
  readonly calledMs: number
  readonly heard: TierHeard
  /** When it was settled. */
  endMs: number
  outcome: 'under way' | 'acknowledged' | 'unknown' | 'refused'
  /** Of the store, when it was acknowledged. */
  version: number | undefined
}

/** The keyspace was given up, acknowledged. */
export interface LoglessClear {
  readonly process: SimProcess
  readonly calledMs: number
  readonly endMs: number
}

export interface LoglessCheckerOptions {
  readonly truth: Truth
  readonly time: VirtualTime
  readonly ttlMs: number
  /** Processes that do not understand each other's records, so that one does not see the other's fences. */
  readonly mixedFormats: boolean
  /** How long a message may be on its way to who can hear it, and how long it takes to notice that one cannot. undefined: messages are lost. */
  readonly heardWithinMs: number | undefined
  readonly count: (what: string) => void
  readonly violated: (what: string) => void
}

/** Stamps are in whole wall milliseconds. */
const SLACK_MS = 1.1

export class LoglessChecker {
  /** Several primaries of one lane answer, or old content has come back. */
  readonly lies: Span[] = []
  /** Records were lost. */
  readonly losses: Span[] = []
  /** Wall clocks of processes differ. */
  clocksApart = false
  heardWithinMs: number | undefined
  readonly #options: LoglessCheckerOptions
  readonly #writes = new Map<string, LoglessWrite[]>()
  readonly #clears: LoglessClear[] = []

  constructor(options: LoglessCheckerOptions) {
    this.#options = options
    this.heardWithinMs = options.heardWithinMs
  }

  began(write: LoglessWrite): void {
    const writes = this.#writes.get(write.key)
    if (writes === undefined) this.#writes.set(write.key, [write])
    else writes.push(write)
  }

  cleared(clear: LoglessClear): void {
    this.#options.count('logless checked: clear')
    this.#clears.push(clear)
  }

  acknowledged(write: LoglessWrite): void {
    const { truth, time, count, violated } = this.#options
    write.endMs = time.nowMs
    write.outcome = 'acknowledged'
    write.version = truth.firstVersion(write.key, write.value, write.calledMs)
    if (write.version === undefined)
      violated(`${write.process.name} was told that ${write.key} = ${write.value} is written, and the store never held it`) // prettier-ignore
    else count('logless checked: write')
  }

  /** Out of memory, before the call returned: of what age it does not say. undefined: nothing, or that there is none. */
  peeked(asked: LoglessAsked, value: number | undefined): void {
    const { count, time, ttlMs } = this.#options
    count(`logless peek ${value === undefined ? 'nothing' : 'something'}`)
    if (value === undefined) return
    const from = 'memory'
    // A reading of the clock counts for a moment, in which the process may have been stopped.
    const justGoneOn = time.nowMs <= asked.process.wentOnMs + limits.nearClockMs
    if (!this.clocksApart && !justGoneOn) this.#checkHeld(asked, from, value, time.nowMs - ttlMs - limits.nearClockMs)
    this.#checkEnds(asked, from, value)
  }

  answered(asked: LoglessAsked, answer: LoglessAnswer): void {
    const { count, time } = this.#options
    const value = valueOf(answer.value)
    count(`logless read ${answer.tier}`)
    if (answer.tier === 'source') {
      this.#checkHeld(asked, answer.tier, value, asked.boundMs === 0 ? asked.calledMs : time.nowMs - answer.ageMs)
    } else if (this.clocksApart) count('logless skipped: wall clocks')
    else {
      const { ageMs } = answer
      this.#checkHeld(asked, answer.tier, value, time.nowMs - ageMs)
      const allowedMs = Math.min(this.#options.ttlMs, answer.stale ? Infinity : asked.boundMs)
      count('logless checked: age')
      if (ageMs > allowedMs + SLACK_MS)
        this.#wrong(asked, answer.tier, value, `is ${ageMs.toFixed(1)} ms old, of ${allowedMs}`)
    }
    this.#checkEnds(asked, answer.tier, value)
  }

  #checkEnds(asked: LoglessAsked, from: string, value: Value): void {
    const { truth, time } = this.#options
    const { key } = asked
    const version = truth.version(key, value, 0, time.nowMs)
    for (const write of this.#writes.get(key) ?? []) this.#checkWrite(asked, from, value, version ?? -1, write)
    for (const clear of this.#clears) this.#checkClear(asked, from, value, clear)
  }

  #checkClear(asked: LoglessAsked, from: string, value: Value, { process, calledMs, endMs }: LoglessClear): void {
    const { truth, time, count } = this.#options
    const own = process === asked.process
    if (!this.mustKnow(asked, endMs, own)) return
    if (this.hasLied(calledMs, time.nowMs)) return count('logless skipped: two primaries')
    count(`logless checked: ${own ? 'own' : 'other'} clear`)
    if (truth.version(asked.key, value, calledMs, time.nowMs) !== undefined) return
    this.#wrong(
      asked,
      from,
      value,
      `was not held since ${process.name} gave up the keyspace, from ${calledMs.toFixed(2)} to ${endMs.toFixed(2)}`,
    )
  }

  #checkHeld(asked: LoglessAsked, from: string, value: Value, fromMs: number): void {
    const { truth, time, count } = this.#options
    count('logless checked: held')
    if (truth.version(asked.key, value, fromMs - SLACK_MS, time.nowMs) !== undefined) return
    this.#wrong(asked, from, value, `was not held since ${fromMs.toFixed(2)}`)
  }

  #checkWrite(asked: LoglessAsked, from: string, value: Value, version: number, write: LoglessWrite): void {
    const { truth, count } = this.#options
    const { key, calledMs } = asked
    const its = write.version ?? truth.version(key, write.value, write.calledMs, Infinity)
    if (its === undefined || write.value === null) return
    const own = write.process === asked.process
    const kind = own ? 'own' : 'other'
    if (write.outcome === 'acknowledged') {
      if (!write.heard.kept.has(key) || !this.mustKnow(asked, write.endMs, own)) return
      if (this.hasLied(write.calledMs, this.#options.time.nowMs)) return count('logless skipped: two primaries')
      count(`logless checked: ${kind} write`)
      if (version < its) this.#wrong(asked, from, value, `is older than ${write.value}, written by ${write.process.name} until ${write.endMs.toFixed(2)}`) // prettier-ignore
      return
    }
    const askedMs = write.heard.fencedMs.get(key)
    if (write.outcome !== 'unknown' || askedMs === undefined) return
    const shownMs = truth.shownMs(key, its)
    const overMs = askedMs + limits.fenceMs
    if (shownMs >= overMs || !this.mustKnow(asked, Math.max(shownMs, write.endMs), own) || calledMs < write.endMs)
      return
    if (overlaps([...this.losses, ...this.lies], write.calledMs, this.#options.time.nowMs))
      return count('logless skipped: fence lost')
    if (this.#options.mixedFormats) return count('logless skipped: mixed formats')
    if (this.#isContested(write, overMs)) return count('logless skipped: contested')
    count(`logless checked: ${kind} unknown write`)
    if (version < its) this.#wrong(asked, from, value, `is older than ${write.value}, which took place at ${shownMs.toFixed(2)}, under its fence`) // prettier-ignore
  }

  /** Whether the process that was asked must have heard of what happened at an instant. */
  mustKnow({ calledMs, process }: LoglessAsked, sinceMs: number, own: boolean): boolean {
    if (calledMs <= sinceMs) return false
    if (own) return true
    const { heardWithinMs } = this
    if (heardWithinMs === undefined) return false
    return calledMs > Math.max(sinceMs, process.wentOnMs) + heardWithinMs
  }

  /** Whether two primaries answered, or old content was there, at some instant of these. */
  hasLied(fromMs: number, toMs: number): boolean {
    return overlaps(this.lies, fromMs, toMs)
  }

  /** Another writer may have taken the fence away, or taken it for his. */
  #isContested(write: LoglessWrite, untilMs: number): boolean {
    const writes = this.#writes.get(write.key) ?? []
    return writes.some(other => other !== write && other.calledMs < untilMs && other.endMs > write.calledMs)
  }

  settled(process: SimProcess, key: string, answer: LoglessAnswer, fromMemory: boolean): void {
    const { truth, count, violated } = this.#options
    const value = valueOf(answer.value)
    count('logless checked: end')
    // Whose clock is behind keeps a value for longer.
    if (this.clocksApart) return
    if (value !== truth.latest(key))
      violated(`in the end ${process.name} reads ${key} = ${value} from ${answer.tier}, not ${truth.latest(key)}`) // prettier-ignore
    else if (fromMemory && answer.tier === 'source')
      violated(`in the end ${process.name} reads ${key} from the functions, again`)
  }

  #wrong({ process, key, calledMs }: LoglessAsked, from: string, value: Value, what: string): void {
    const { truth, violated } = this.#options
    violated(
      `${process.name} read ${key} = ${value} from ${from} (called at ${calledMs.toFixed(2)}), which ${what}. ` +
        `Held: ${truth.describe(key, calledMs - this.#options.ttlMs)}`,
    )
  }
}

function overlaps(spans: readonly Span[], fromMs: number, toMs: number): boolean {
  return spans.some(span => span.fromMs <= toMs && span.untilMs >= fromMs)
}
