// The check, which knows nothing of the protocol: every answer is held against what the database's model showed, and when.
//
//   an answer      was visible at some instant between its `asOf` and now
//   a fresh one    has an `asOf` no older than its bound; from the source, no older than the call
//   an old one     that is marked stale has one too, where the call did not say that anything will do; none where none is allowed
//   a session      never goes back, in the order in which the database showed a key's values
//   a write        that was acknowledged was visible before
//   in the end     every node answers what the database holds, from memory, and fresh
import { limits } from '../../src/base/limits.ts'
import { mergeTickets, type SessionTicket } from '../../src/coherence/session.ts'
import type { Node } from './node.ts'
import type { Truth, Value } from './truth.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What one user has seen and written, wherever he was. */
export class Session {
  ticket: SessionTicket | undefined
  /** By key: the first version that it may have been. */
  seen = new Map<string, number>()

  see(key: string, version: number, called: SessionTicket | undefined, seen: SessionTicket): void {
    if ((this.seen.get(key) ?? -1) < version) this.seen.set(key, version)
    this.ticket = mergeTickets(this.ticket, called, seen)
  }
}

/** A read's answer. */
export interface Told {
  readonly value: Value
  /** In the simulation's time; -Infinity: nobody knows. Of a call that does not tell it: the bound before now, at the latest. */
  readonly asOfMs: number
  /** 'untold': the call does not say. */
  readonly tier: 'near' | 'tier' | 'source' | 'untold'
  readonly stale: boolean
  /** The session's ticket after this; undefined outside of one. */
  readonly session: SessionTicket | undefined
}

/** A read as it was called. */
export interface Asked {
  readonly node: Node
  readonly key: string
  readonly boundMs: number
  /** Whether the answer may be marked stale: not at all, if it is within the bound all the same, or however old it is. */
  readonly old: 'never' | 'bounded' | 'any'
  readonly calledMs: number
  readonly session: Session | undefined
  /** Both as of the call. */
  readonly ticket: SessionTicket | undefined
  readonly seen: ReadonlyMap<string, number> | undefined
  /** A database that was cut off answered, somewhere, since then: what comes from the source may be its word. */
  readonly isolatedSource: (sinceMs: number) => boolean
}

const CLOCK_SLACK_MS = 0.01

export class Checker {
  readonly #truth: Truth
  readonly #time: VirtualTime
  readonly #count: (what: string) => void
  readonly #violated: (what: string) => void

  constructor(truth: Truth, time: VirtualTime, count: (what: string) => void, violated: (what: string) => void) {
    this.#truth = truth
    this.#time = time
    this.#count = count
    this.#violated = violated
  }

  answered(asked: Asked, result: Told): void {
    const { key, calledMs, session } = asked
    const { nowMs } = this.#time
    const { value, asOfMs } = result
    this.#count(`read ${result.tier}`)
    if (result.stale) this.#count('read stale')
    if (asked.node.ownSlot !== undefined) this.#count(`alone: read ${result.tier}`)
    // A load that was under way before the call may be shared: it is as old as the answer says.
    if (mayBeSource(result) && asked.isolatedSource(Math.min(calledMs, asOfMs))) {
      this.#count('read from an isolated database')
      return
    }
    const version = this.#truth.version(key, value, asOfMs - CLOCK_SLACK_MS, nowMs)
    if (version === undefined) {
      if (this.#truth.isOverwritten(value, asOfMs)) this.#count('read of what a trigger overwrote')
      else this.#report(asked, result, value, `was not visible since ${asOfMs.toFixed(2)}`, asOfMs)
      return
    }
    this.#count('checked: visible')
    if (!result.stale) this.#checkAge(asked, result, value, asOfMs)
    else if (asked.old !== 'any') this.#checkOld(asked, result, value, asOfMs)
    const seen = asked.seen?.get(key)
    if (seen !== undefined) {
      if (version < seen) {
        this.#report(asked, result, value, `came after version ${seen} in a session, as version ${version}`, asOfMs)
      }
      this.#count('checked: session')
    }
    if (session !== undefined && result.session !== undefined) {
      session.see(
        key,
        this.#truth.firstVersion(key, value, Math.min(asOfMs, calledMs)) ?? version,
        asked.ticket,
        result.session,
      )
    }
  }

  #checkAge(asked: Asked, result: Told, value: Value, asOfMs: number): void {
    const { boundMs, calledMs } = asked
    const { nowMs } = this.#time
    const oldestMs = mayBeSource(result) ? Math.min(calledMs, nowMs - boundMs) : nowMs - boundMs
    this.#count('checked: age')
    if (asOfMs >= oldestMs - CLOCK_SLACK_MS) return
    this.#report(asked, result, value, `is as of ${asOfMs.toFixed(2)}, older than the bound of ${boundMs} ms`, asOfMs)
  }

  #checkOld(asked: Asked, result: Told, value: Value, asOfMs: number): void {
    this.#count('checked: old')
    if (asked.old === 'never') this.#report(asked, result, value, 'was not to be old', asOfMs)
    else if (!(asOfMs >= this.#time.nowMs - asked.boundMs - CLOCK_SLACK_MS))
      this.#report(asked, result, value, `is as of ${asOfMs.toFixed(2)}, past the bound of ${asked.boundMs} ms`, asOfMs)
  }

  #report(asked: Asked, result: Told, value: Value, what: string, fromMs: number): void {
    const { node, key, calledMs } = asked
    this.#violated(
      `${node.name} read ${key} = ${value} from ${result.tier}${result.stale ? ', stale' : ''} ` +
        `(called at ${calledMs.toFixed(2)}), which ${what}. Shown: ${this.#truth.describe(key, fromMs)}`,
    )
  }

  /** A write was acknowledged: the row that it left behind is, or was, there. */
  acknowledged(
    node: Node,
    key: string,
    value: Value,
    calledMs: number,
    session: Session | undefined,
    called: SessionTicket | undefined,
    seen: SessionTicket | undefined,
  ): void {
    // prettier-ignore
    const { nowMs } = this.#time
    const version = this.#truth.version(key, value, calledMs, nowMs)
    if (version === undefined) {
      if (this.#truth.isOverwritten(value, calledMs)) return
      this.#violated(`${node.name} was told that ${key} = ${value} is written, and nobody ever saw it`)
      return
    }
    this.#count('checked: write')
    const first = this.#truth.firstVersion(key, value, calledMs) ?? version
    if (session !== undefined && seen !== undefined) session.see(key, first, called, seen)
  }

  /** The tide gives up a part of the log: a failover of the tier may ask for what is younger than this. */
  confirmed(ageMs: number): void {
    this.#count('checked: retention')
    if (ageMs >= limits.tideRetentionMs) return
    this.#violated(
      `the tide confirmed what was committed ${ageMs.toFixed(0)} ms before; it keeps ${limits.tideRetentionMs}`,
    )
  }

  /** Long after the last fault. */
  settled(node: Node, key: string, result: Told, again: boolean): void {
    const { value } = result
    const latest = this.#truth.latest(key)
    this.#count('checked: end')
    if (value !== latest)
      this.#violated(
        `in the end ${node.name} reads ${key} = ${value} from ${result.tier}, not ${latest}: ${this.#truth.describe(key, this.#truth.sinceMs(key))}`,
      )
    if (!again) return
    const ageMs = this.#time.nowMs - result.asOfMs
    if (result.tier === 'source' || result.stale || ageMs > AGE_IN_THE_END_MS) {
      this.#violated(`in the end ${node.name} reads ${key} from ${result.tier}, ${ageMs.toFixed(0)} ms old`)
    }
  }
}

const AGE_IN_THE_END_MS = 400

function mayBeSource({ tier }: Told): boolean {
  return tier === 'source' || tier === 'untold'
}
