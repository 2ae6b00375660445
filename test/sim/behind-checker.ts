// The check of writes that are acknowledged by a journal. It knows what was asked for and when it was answered, and what the service
// was told, in its order; of the journal it knows nothing. One process at a time writes a key. Of two writes of a key one is
// before the other if it was answered, or its process had ended, by the time that the other was called.
//
//   the service   having been told of a write, it is never told of one that is before that
//   a read        with any bound: no write before one that was acknowledged before the call, nor before one that was read in
//                 the same process before the call
//   in the end    the service holds no write before one that was acknowledged, and so none of these was lost
import type { SimProcess } from './machine.ts'
import type { Value } from './truth.ts'

export interface BehindWrite {
  readonly key: string
  readonly value: Value
  readonly calledMs: number
  /** When it was answered, or its process ended. */
  endMs: number
  outcome: 'under way' | 'acknowledged' | 'unknown' | 'refused'
}

export interface BehindAsked {
  readonly process: SimProcess
  readonly key: string
  readonly calledMs: number
}

interface Seen {
  readonly process: SimProcess
  readonly atMs: number
  readonly write: BehindWrite
}

interface KeyBook {
  readonly writes: BehindWrite[]
  /** Those that the service was told of for sure. */
  readonly shown: BehindWrite[]
  readonly seen: Seen[]
}

export interface BehindCheckerOptions {
  readonly nowMs: () => number
  readonly count: (what: string) => void
  readonly violated: (what: string) => void
}

function isBefore(one: BehindWrite, other: BehindWrite): boolean {
  return one.endMs < other.calledMs
}

export class BehindChecker {
  readonly #options: BehindCheckerOptions
  readonly #keys = new Map<string, KeyBook>()
  readonly #underWay = new Map<SimProcess, Set<BehindWrite>>()

  constructor(options: BehindCheckerOptions) {
    this.#options = options
  }

  began(process: SimProcess, key: string, value: Value): BehindWrite {
    const write: BehindWrite = { key, value, calledMs: this.#options.nowMs(), endMs: Infinity, outcome: 'under way' }
    this.#book(key).writes.push(write)
    const underWay = this.#underWay.get(process)
    if (underWay !== undefined) underWay.add(write)
    else {
      this.#underWay.set(process, new Set([write]))
      process.onDeath(() => this.#ended(process))
    }
    return write
  }

  settled(process: SimProcess, write: BehindWrite, outcome: 'acknowledged' | 'unknown' | 'refused'): void {
    write.endMs = this.#options.nowMs()
    write.outcome = outcome
    this.#underWay.get(process)?.delete(write)
    this.#options.count(`behind: write ${outcome}`)
  }

  #ended(process: SimProcess): void {
    for (const write of this.#underWay.get(process)!) this.settled(process, write, 'unknown')
  }

  /** The service was told of it. */
  shown(key: string, value: Value): void {
    const { shown } = this.#book(key)
    const all = this.#candidates(key, value)
    const possible = all.filter(one => !shown.some(other => isBefore(one, other)))
    this.#options.count('behind checked: shown')
    if (possible.length === 0) this.#wrong(key, value, 'was brought to the service after a later one', shown)
    const [only, more] = all
    if (only !== undefined && more === undefined && !shown.includes(only)) shown.push(only)
  }

  answered({ process, key, calledMs }: BehindAsked, value: Value): void {
    const { seen, writes } = this.#book(key)
    const acknowledged = writes.filter(({ outcome, endMs }) => outcome === 'acknowledged' && endMs < calledMs)
    const read = seen.filter(other => other.process === process && other.atMs < calledMs).map(({ write }) => write)
    const all = this.#candidates(key, value)
    this.#options.count('behind checked: read')
    if (acknowledged.length > 0) this.#options.count('behind checked: read after a write')
    const possible = all.filter(one => ![...acknowledged, ...read].some(other => isBefore(one, other)))
    if (possible.length === 0) {
      const what = `was read in ${process.name} (called at ${calledMs.toFixed(2)}), where later ones were acknowledged, or read`
      this.#wrong(key, value, what, [...acknowledged, ...read])
    }
    const [only, more] = all
    if (only !== undefined && more === undefined) seen.push({ process, atMs: this.#options.nowMs(), write: only })
  }

  /** What the service holds when nothing waits any more. */
  end(key: string, value: Value): void {
    const acknowledged = this.#book(key).writes.filter(({ outcome }) => outcome === 'acknowledged')
    this.#options.count('behind checked: end')
    const possible = this.#candidates(key, value).filter(one => !acknowledged.some(other => isBefore(one, other)))
    if (possible.length === 0)
      this.#wrong(key, value, 'is what the service has in the end: a write is lost', acknowledged)
  }

  /** Writes that this may be the value of; nothing was there at first. */
  #candidates(key: string, value: Value): BehindWrite[] {
    return this.#book(key).writes.filter(write => write.value === value && write.outcome !== 'refused')
  }

  #book(key: string): KeyBook {
    let book = this.#keys.get(key)
    if (book === undefined) {
      const nothing: BehindWrite = { key, value: null, calledMs: -2, endMs: -1, outcome: 'unknown' }
      book = { writes: [nothing], shown: [], seen: [] }
      this.#keys.set(key, book)
    }
    return book
  }

  #wrong(key: string, value: Value, what: string, others: readonly BehindWrite[]): void {
    const told = others.slice(-6).map(({ value: its, calledMs, endMs, outcome }) => `${its} (${outcome}, ${calledMs.toFixed(2)} to ${endMs.toFixed(2)})`) // prettier-ignore
    const its = this.#candidates(key, value).map(({ calledMs, endMs, outcome }) => `${outcome}, ${calledMs.toFixed(2)} to ${endMs.toFixed(2)}`) // prettier-ignore
    this.#options.violated(`${key} = ${value} (${its.join('; ')}) ${what}: ${told.join(', ')}`)
  }
}
