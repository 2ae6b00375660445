// The check of values that the cache alone has. Each is set or built once and has a number of its own; what is asked about an answer
// is where its value came from, and what has ended it since: another write of its key, a deletion, the end of one of its
// tags, or of the whole keyspace.
//
//   an answer     is nothing, or a value that was set or built for its key
//   its end       a value that was there before something ended it is no answer to a call that begins after that was done: in the process
//                 that did it from then on, in others once they have heard of it, or noticed that they hear nothing; so it is with what
//                 was being built when a tag or the keyspace was given up
//   a bound       of a call: what was set or built longer ago is no answer to it, whatever was heard
//   in the end    a value that was set is there for everybody, and for nobody any more when its tag or keyspace was given up
//
// As of writes to functions (logless-checker.ts), nothing is said of what two primaries answered.
import type { LoglessAsked, LoglessChecker } from './logless-checker.ts'
import type { SimProcess } from './machine.ts'
import type { VirtualTime } from './virtual-time.ts'

/** A value, and how it came to be. */
export interface Origin {
  readonly key: string
  readonly value: number
  readonly tags: readonly string[]
  /** When its build began; of one that was set, when that was settled: Infinity while it is under way. */
  thereMs: number
}

/** What ends values. */
export interface End {
  readonly process: SimProcess
  readonly what: 'write' | 'delete' | 'tag' | 'clear'
  readonly mayEnd: (key: string) => boolean
  readonly ends: (origin: Origin) => boolean
  readonly calledMs: number
  /** When it was acknowledged, and the tier knew of it. */
  readonly doneMs: number
}

export interface ValuesCheckerOptions {
  readonly functions: LoglessChecker
  readonly time: VirtualTime
  readonly count: (what: string) => void
  readonly violated: (what: string) => void
}

/** Ages are told in whole milliseconds, and a reading of the clock counts for one. */
const SLACK_MS = 3.1

export class ValuesChecker {
  readonly #options: ValuesCheckerOptions
  readonly #origins = new Map<number, Origin>()
  readonly #ends: End[] = []

  constructor(options: ValuesCheckerOptions) {
    this.#options = options
  }

  began(origin: Origin): Origin {
    this.#origins.set(origin.value, origin)
    return origin
  }

  ended(end: End): void {
    this.#options.count(`values: ${end.what}`)
    this.#ends.push(end)
  }

  /** `from`: what the process was asked with. null: there is nothing. */
  answered(asked: LoglessAsked, from: string, value: number | null): void {
    const { count } = this.#options
    count(`values: ${from} ${value === null ? 'nothing' : 'something'}`)
    const origin = value === null ? undefined : this.#origins.get(value)
    if (value !== null && origin?.key !== asked.key) return this.#wrong(asked, value, 'was never set there')
    if (origin !== undefined && asked.boundMs !== Infinity && !this.#options.functions.clocksApart) {
      count('values checked: age')
      const oldestMs = asked.calledMs - asked.boundMs - SLACK_MS
      if (origin.thereMs < oldestMs) this.#wrong(asked, origin.value, `is of ${origin.thereMs.toFixed(2)}, with a bound of ${asked.boundMs} ms`) // prettier-ignore
    }
    for (const end of this.#ends) if (end.doneMs < asked.calledMs && end.mayEnd(asked.key)) this.#checkEnd(asked, origin, end) // prettier-ignore
  }

  #checkEnd(asked: LoglessAsked, origin: Origin | undefined, end: End): void {
    const { functions, time, count } = this.#options
    const { process, what, calledMs, doneMs } = end
    const own = process === asked.process
    if (!functions.mustKnow(asked, doneMs, own)) return
    if (functions.hasLied(calledMs, time.nowMs)) return count('values skipped: two primaries')
    count(`values checked: ${own ? 'own' : 'other'} ${what}`)
    if (origin === undefined || origin.thereMs >= calledMs || !end.ends(origin)) return
    this.#wrong(asked, origin.value, `was ended by ${process.name} (${what}, from ${calledMs.toFixed(2)} to ${doneMs.toFixed(2)})`) // prettier-ignore
  }

  /** In the end. */
  settled(process: SimProcess, key: string, value: number | null, expected: number | null): void {
    this.#options.count('values checked: end')
    if (value !== expected) this.#options.violated(`in the end ${process.name} has ${key} = ${value}, not ${expected}`)
  }

  #wrong({ process, key, calledMs }: LoglessAsked, value: number, what: string): void {
    this.#options.violated(`${process.name} has ${key} = ${value} (called at ${calledMs.toFixed(2)}), which ${what}`)
  }
}
