// The independent check of everything that chaos reads. It knows only what the load saw with its own eyes, on one monotonic
// clock: when a write was sent, when its acknowledgement came, which version it made. The database counts each row's changes
// (demo-table.ts), so a version is older than another without any clock being asked.
//
// What is held against each read, sent at `sent`:
// - bound: a version that was surely superseded (by an acknowledged commit, or because somebody had read a later one) before
//   `sent - bound` must not come as a fresh answer;
// - age: an answer that says how old it is at most is held to that instead, fresh or not;
// - session: what one session reads of a key never goes back;
// - whole: key, version and writer in the value belong together.
// At the end: each row has changed as often as writes were acknowledged, and at most once more for each whose outcome nobody knows.
//
// All of it errs to the side of the product: an acknowledgement counts from when it was noticed, a read from before it left.
// Not for: doing the reads and writes (load.ts), and faults.
import { sealOf } from './demo-table.ts'
import { StalenessHistogram } from './staleness.ts'

export type ViolationKind = 'bound' | 'age' | 'session' | 'whole' | 'lost' | 'invented'

export interface Violation {
  readonly kind: ViolationKind
  readonly text: string
}

/** One answer to one read. */
export interface Sighting {
  readonly key: number
  /** undefined: no such row. */
  readonly version: number | undefined
  readonly sentMs: number
  readonly receivedMs: number
  /** How old the answer may be: the caller's bound; Infinity for one that was marked as stale. */
  readonly boundMs: number
  /** What the answer said of its own age, if it did. */
  readonly ageMs?: number | undefined
  readonly from: string
}

const REMEMBERED = 64
const VIOLATIONS_KEPT = 20

export class History {
  readonly keys: number
  readonly staleness = new StalenessHistogram()
  readonly violations: Violation[] = []
  violationCount = 0
  reads = 0
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
  }

  /** The row as it is before the load begins. */
  begin(key: number, version: number, nowMs: number): void {
    this.#first[key] = version
    this.known(key, version, nowMs)
  }

  /** The highest version that is known to have been committed. */
  highest(key: number): number {
    return this.#highest[key]!
  }

  /** That version, or a later one, was committed before `nowMs`. */
  known(key: number, version: number, nowMs: number): void {
    if (version <= this.#highest[key]!) return
    this.#highest[key] = version
    const slot = key * REMEMBERED + (this.#count[key]! % REMEMBERED)
    this.#versions[slot] = version
    this.#times[slot] = nowMs
    this.#count[key]!++
  }

  /**
   * A write was acknowledged. `version` is the one that it made where the answer told it; else it is later than all that
   * were known when it was sent, `knownBefore`.
   */
  acknowledge(key: number, nowMs: number, made: { readonly version: number } | { readonly knownBefore: number }): void {
    this.acknowledged++
    this.#acknowledgedOf[key]!++
    this.known(key, 'version' in made ? made.version : made.knownBefore + 1, nowMs)
  }

  /** A write was sent, and nobody knows what became of it. */
  forget(key: number): void {
    this.unknown++
    this.#unknownOf[key]!++
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

  /** The fast half of `saw`, for values read in bulk: key, version, seal and writer as they were in the value. */
  sawRow(
    asked: number,
    id: number,
    version: number,
    seal: number,
    writer: number,
    sighting: Omit<Sighting, 'key' | 'version'>,
  ): void {
    // prettier-ignore
    if (id !== asked || seal !== sealOf(id, version, writer)) {
      this.#report('whole', `asked for ${asked}, got id ${id} version ${version} seal ${seal} writer ${writer} from ${sighting.from}`) // prettier-ignore
      this.reads++
      return
    }
    if (version >= this.#highest[asked]!) {
      this.reads++
      this.staleness.add(0)
      this.known(asked, version, sighting.receivedMs)
      return
    }
    this.saw({ ...sighting, key: asked, version })
  }

  /** Checks one read. */
  saw(sighting: Sighting): void {
    const { key, version, sentMs, receivedMs, boundMs, ageMs, from } = sighting
    this.reads++
    // No row may be an absence of long ago, so that it says nothing of the latest one.
    const state = version ?? this.#absence[key]!
    const superseded = this.supersededMs(key, state)
    if (version !== undefined) this.known(key, version, receivedMs)
    const staleMs = Math.max(0, sentMs - superseded)
    this.staleness.add(staleMs)
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

  #report(kind: ViolationKind, text: string): void {
    this.violationCount++
    if (this.violations.length < VIOLATIONS_KEPT) this.violations.push({ kind, text })
  }
}
