// The independent check of everything that chaos reads. It knows only what the load saw with its own eyes, on one monotonic
// clock: when a write was sent, when its acknowledgement came, which version it made, and what a witness that asks the database
// itself saw (witness.ts). The database counts each row's changes (demo-table.ts), so a version is older than another without
// any clock being asked, and keeps a list of them.
//
// What is held against each read, sent at `sent`:
// - bound: a version that was surely superseded (by an acknowledged commit, or because somebody had read a later one) before
//   `sent - bound` must not come as a fresh answer;
// - age: an answer that says how old it is at most is held to that too, fresh or not;
// - session: what one session reads of a key never goes back;
// - whole: key, version and writer in the value belong together, and all who read a version read the same.
// At the end: each row has changed as often as writes were acknowledged, and at most once more for each whose outcome nobody
// knows; each acknowledged write is in the database's list, none of them twice; and whatever was read is in it.
//
// All of it errs to the side of the product: a commit counts from when it was noticed, a read from before it left. By how much
// at most is counted (`slack`).
// Not for: doing the reads and writes (load.ts), and faults.
import { sealOf } from './demo-table.ts'
import { StalenessHistogram } from './staleness.ts'

export type ViolationKind = 'bound' | 'age' | 'session' | 'whole' | 'lost' | 'twice' | 'invented' | 'answer'

export interface Violation {
  readonly kind: ViolationKind
  readonly text: string
}

/** What a value says. */
export interface Row {
  readonly id: number
  readonly version: number
  readonly seal: number
  readonly writer: number
}

/** One answer to one read. */
export interface Sighting {
  readonly key: number
  /** undefined: no such row. */
  readonly row: Row | undefined
  readonly sentMs: number
  readonly receivedMs: number
  /** How old the answer may be: the caller's bound; Infinity for one that was marked as stale. */
  readonly boundMs: number
  /** What the answer said of its own age, if it did. */
  readonly ageMs?: number | undefined
  readonly from: string
}

/** A line of the database's own list. */
export interface Change {
  readonly id: number
  readonly version: number
  readonly writer: number
}

const REMEMBERED = 256
const VERSIONS_MAX = 2 ** 24
const CONTESTED_MS = 500
const VIOLATIONS_KEPT = 20

/** What is known of the version that a write made. */
export type Made = ({ readonly version: number } | { readonly knownBefore: number }) & { readonly mark?: number }

export class History {
  readonly keys: number
  readonly staleness = new StalenessHistogram()
  /** How long after it was sent, and so after its commit at most, a write was known to be there. */
  readonly slack = new StalenessHistogram()
  readonly violations: Violation[] = []
  violationCount = 0
  reads = 0
  /** Of them, those of rows that had changed within the bound before: the ones that a fault of the product would show in. */
  contested = 0
  readonly readsOf = new Map<string, number>()
  acknowledged = 0
  unknown = 0
  /** The last REMEMBERED times that a higher version of the key was known to be there: version and when, in a ring. */
  readonly #versions: Float64Array
  readonly #times: Float64Array
  readonly #count: Uint32Array
  readonly #highest: Float64Array
  /** The state in which the key is absent, as far as anybody has begun to make it so; 0: never. */
  readonly #absence: Float64Array
  readonly #first: Float64Array
  readonly #acknowledgedOf: Uint32Array
  readonly #unknownOf: Uint32Array
  /** Of passing keys: writes are not counted, since a row that comes again begins where its maker says. */
  readonly #passing: Uint8Array
  /** By key and version: who made it, as it was read. */
  readonly #writers = new Map<number, number>()
  readonly #highestWriter: Float64Array
  #marks = 0
  /** Marks of writes, with their keys. */
  readonly #acknowledgedMarks = new Map<number, number>()
  readonly #unknownMarks = new Map<number, number>()
  /** Versions that acknowledgements named. */
  readonly #named = new Map<number, number | undefined>()

  constructor(keys: number) {
    this.keys = keys
    this.#versions = new Float64Array(keys * REMEMBERED)
    this.#times = new Float64Array(keys * REMEMBERED)
    this.#count = new Uint32Array(keys)
    this.#highest = new Float64Array(keys)
    this.#absence = new Float64Array(keys)
    this.#first = new Float64Array(keys)
    this.#acknowledgedOf = new Uint32Array(keys)
    this.#unknownOf = new Uint32Array(keys)
    this.#passing = new Uint8Array(keys)
    this.#highestWriter = new Float64Array(keys).fill(-1)
  }

  /** The row as it is before the load begins. */
  begin(key: number, version: number, nowMs: number): void {
    this.#first[key] = version
    this.known(key, version, nowMs)
  }

  /** What a write puts in a row's `writer`, and no other does. */
  nextMark(): number {
    return ++this.#marks
  }

  /** The highest version that is known to have been committed. */
  highest(key: number): number {
    return this.#highest[key]!
  }

  /** That version, or a later one, was committed before `nowMs`. */
  known(key: number, version: number, nowMs: number): void {
    if (version <= this.#highest[key]!) return
    this.#highest[key] = version
    this.#highestWriter[key] = -1
    const slot = key * REMEMBERED + (this.#count[key]! % REMEMBERED)
    this.#versions[slot] = version
    this.#times[slot] = nowMs
    this.#count[key]!++
  }

  /**
   * A write was acknowledged. `version` is the one that it made where the answer told it; else it is later than all that
   * were known when it was sent, `knownBefore`. `mark`: what it put in the row's `writer`, and no other write did.
   */
  acknowledge(key: number, sentMs: number, nowMs: number, made: Made): void {
    this.acknowledged++
    this.#acknowledgedOf[key]!++
    const version = 'version' in made ? made.version : made.knownBefore + 1
    this.known(key, version, nowMs)
    if (made.mark !== undefined) this.#acknowledgedMarks.set(made.mark, key)
    if (!('version' in made)) return
    const name = key * VERSIONS_MAX + version
    if (this.#named.has(name)) this.#report('twice', `two writes were told that they made version ${version} of key ${key}`) // prettier-ignore
    this.#named.set(name, made.mark)
    const knownMs = this.supersededMs(key, version - 1)
    if (Number.isFinite(knownMs)) this.slack.add(knownMs - sentMs)
  }

  /** A write was sent, and nobody knows what became of it. */
  forget(key: number, mark?: number): void {
    this.unknown++
    this.#unknownOf[key]!++
    if (mark !== undefined) this.#unknownMarks.set(mark, key)
  }

  /** The database itself showed this row. */
  witnessed({ id, version, seal, writer }: Row, nowMs: number): void {
    if (this.#whole(id, id, version, seal, writer, 'the database')) this.known(id, version, nowMs)
  }

  /** A change that was made of another row than the one that it took the place of. */
  lostUpdate(text: string): void {
    this.#report('lost', text)
  }

  /** An answer that is wrong by itself. */
  wrong(text: string): void {
    this.#report('answer', text)
  }

  /** A row is about to be removed, which makes its absence the state `version`. */
  removing(key: number, version: number): void {
    this.#passing[key] = 1
    if (version > this.#absence[key]!) this.#absence[key] = version
  }

  /** The latest state in which there is no row, as far as anybody has begun to bring it about; 0: none. */
  absence(key: number): number {
    return this.#absence[key]!
  }

  /** When a later version than this was first known to be committed; Infinity: never. For one that is out of memory, a later time. */
  supersededMs(key: number, version: number): number {
    if (version >= this.#highest[key]!) return Infinity
    const count = this.#count[key]!
    const oldest = Math.max(0, count - REMEMBERED)
    let time = Infinity
    for (let at = count - 1; at >= oldest; at--) {
      const slot = key * REMEMBERED + (at % REMEMBERED)
      if (this.#versions[slot]! <= version) break
      time = this.#times[slot]!
    }
    return time
  }

  /** Checks one read, the fast way: key, version, seal and writer as they were in the value. */
  sawRow(
    asked: number,
    id: number,
    version: number,
    seal: number,
    writer: number,
    sighting: Omit<Sighting, 'key' | 'row'>,
  ): void {
    this.reads++
    if (!this.#whole(asked, id, version, seal, writer, sighting.from)) return
    if (version < this.#highest[asked]!) {
      this.#check(asked, version, sighting)
      return
    }
    this.staleness.add(0)
    if (version > this.#highest[asked]!) this.known(asked, version, sighting.receivedMs)
    this.#highestWriter[asked] = writer
    const newest = asked * REMEMBERED + ((this.#count[asked]! - 1) % REMEMBERED)
    if (sighting.sentMs - this.#times[newest]! < CONTESTED_MS) this.contested++
  }

  /** Checks one read. */
  saw({ key, row, ...sighting }: Sighting): void {
    if (row !== undefined) {
      const { id, version, seal, writer } = row
      this.sawRow(key, id, version, seal, writer, sighting)
      return
    }
    this.reads++
    // No row may be an absence of long ago, so that it says nothing of the latest one.
    this.#check(key, undefined, sighting)
  }

  #whole(asked: number, id: number, version: number, seal: number, writer: number, from: string): boolean {
    if (id !== asked || seal !== sealOf(id, version, writer)) {
      this.#report('whole', `asked for ${asked}, got id ${id} version ${version} seal ${seal} writer ${writer} from ${from}`) // prettier-ignore
      return false
    }
    if (version === this.#highest[id]! && writer === this.#highestWriter[id]!) return true
    const name = id * VERSIONS_MAX + version
    const before = this.#writers.get(name)
    if (before === undefined) this.#writers.set(name, writer)
    else if (before !== writer) {
      this.#report('whole', `version ${version} of key ${id} was read with writer ${before}, and from ${from} with ${writer}`) // prettier-ignore
      return false
    }
    return true
  }

  /** Version undefined: there was no row. */
  #check(key: number, version: number | undefined, sighting: Omit<Sighting, 'key' | 'row'>): void {
    const { sentMs, boundMs, ageMs, from } = sighting
    const superseded = this.supersededMs(key, version ?? this.#absence[key]!)
    const staleMs = Math.max(0, sentMs - superseded)
    this.staleness.add(staleMs)
    if (superseded < Infinity && sentMs - superseded < CONTESTED_MS) this.contested++
    const told = `key ${key} version ${version ?? 'none'} from ${from}, superseded ${staleMs.toFixed(1)} ms before it was asked for (${this.#highest[key]!} is known)` // prettier-ignore
    if (staleMs > boundMs) this.#report('bound', `${told}; the bound is ${boundMs} ms`)
    else if (ageMs !== undefined && staleMs > ageMs) this.#report('age', `${told}; the answer says ${ageMs} ms at most`)
  }

  /** Counts a read by where its answer came from. */
  readFrom(tier: string): void {
    this.readsOf.set(tier, (this.readsOf.get(tier) ?? 0) + 1)
  }

  /** Checks what a session read against what it had read or written of the key before. */
  sawInSession(session: string, key: number, before: number, version: number): void {
    if (version >= before) return
    this.#report('session', `${session} had seen version ${before} of key ${key}, and then read ${version}`)
  }

  /** Holds a key's row, as it is once everything is quiet, against the acknowledged writes. undefined: there is no row. */
  settle(key: number, version: number | undefined): void {
    if (this.#passing[key] === 1) {
      const state = version ?? this.#absence[key]!
      if (state < this.#highest[key]!) {
        this.#report('lost', `key ${key} ends in state ${state}, and ${this.#highest[key]!} was committed`)
      }
      return
    }
    const first = this.#first[key]!
    const least = first + this.#acknowledgedOf[key]!
    const most = least + this.#unknownOf[key]!
    const counted = `${this.#acknowledgedOf[key]!} acknowledged writes after version ${first}, ${this.#unknownOf[key]!} of unknown outcome` // prettier-ignore
    if (version === undefined || version < Math.max(least, this.#highest[key]!)) {
      this.#report('lost', `key ${key} ends at version ${version ?? 'none'}, with ${this.#highest[key]!} known and ${counted}`) // prettier-ignore
    } else if (version > most) {
      this.#report('invented', `key ${key} ends at version ${version}, with ${counted}`)
    }
  }

  /** Holds all that was acknowledged and read against the database's own list of changes. */
  audit(changes: readonly Change[]): void {
    const writers = new Map<number, number>()
    for (const { id, version, writer } of changes) writers.set(id * VERSIONS_MAX + version, writer)
    // A mark stays in the row until the next one: it came as often as it was not there before.
    const came = new Map<number, number>()
    for (const [name, writer] of writers) {
      if (writers.get(name - 1) !== writer) came.set(writer, (came.get(writer) ?? 0) + 1)
    }
    for (const [mark, key] of this.#acknowledgedMarks) {
      if (!came.has(mark)) this.#report('lost', `the acknowledged write ${mark} of key ${key} never happened`)
    }
    for (const [mark, key] of [...this.#acknowledgedMarks, ...this.#unknownMarks]) {
      const times = came.get(mark) ?? 0
      if (times > 1) this.#report('twice', `the write ${mark} of key ${key} happened ${times} times`)
    }
    for (const [name, mark] of this.#named) {
      const writer = writers.get(name)
      const version = `version ${name % VERSIONS_MAX} of key ${Math.floor(name / VERSIONS_MAX)}`
      if (writer === undefined) this.#report('lost', `${version} was acknowledged and never happened`)
      else if (mark !== undefined && writer !== mark) this.#report('lost', `${version} was acknowledged to ${mark}, and is by ${writer}`) // prettier-ignore
    }
    for (const [name, writer] of this.#writers) {
      const version = name % VERSIONS_MAX
      const key = Math.floor(name / VERSIONS_MAX)
      if (version <= this.#first[key]!) continue
      const made = writers.get(name)
      if (made !== writer) this.#report('invented', `version ${version} of key ${key} was read as by ${writer}, and is by ${made ?? 'nobody'}`) // prettier-ignore
    }
  }

  #report(kind: ViolationKind, text: string): void {
    this.violationCount++
    if (this.violations.length < VIOLATIONS_KEPT) this.violations.push({ kind, text })
  }
}
