// The read path: near, tier, source, each only when the one before has no answer that is proved as fresh as asked for.
//
//   near    what this process holds of a shared tier, if anything
//   tier    header and record as of one instant, all that are asked for in a turn together; a value is admitted near
//           no record: look again, taking the key's lease; where looks often find nothing, the first one takes it already.
//           With the lease: load, with all other keys that are missed in the same turn, in one query
//           leased by another: wait for the fill, looking again after growing pauses; after a while load without filling
//           while it loads: the lease is held for longer (held-leases.ts)
//           fill: refused if anything happened to the key since the lease; the caller gets the loaded row in any case
//   source  without a word to the tier when that does not answer, has nothing to say, or is not fresh enough
//
// A caller shares a load that began before its call only while the lease of that load stands: then nothing has happened to
// the key, and what vouches for the lane vouches for the load.
// Not for: the path of a server's hit (cache.ts), writes (writer.ts).
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { isFresh, NO_PROOF } from '../coherence/freshness.ts'
import type { LaneState } from '../coherence/lane.ts'
import { randomToken, type Token, type ValueRecord } from '../coherence/record.ts'
import { meetsTicket, ticketAfter, type SessionTicket } from '../coherence/session.ts'
import type { LoadStamp, Stamp } from '../coherence/stamp.ts'
import { HeldLeases, type HeldLease } from './held-leases.ts'
import type { Keyspaces, PlacedKey, WhenStale } from './keyspaces.ts'
import { proofOf } from './proofs.ts'
import type { LoadedRow } from './source-loads.ts'
import { SuspendWatch } from './suspend-watch.ts'
import { TimesToLive } from './time-to-live.ts'
import type { TierLook } from './tier-reads.ts'
import type { Awaitable, TierLease } from '../tier/tier.ts'

export interface ReadOptions {
  /** Instead of the keyspace's. 0: what the source shows after the call. */
  readonly maxStalenessMs?: number | undefined
  /** Never older than what the session has seen or written. */
  readonly session?: SessionTicket | undefined
  /** Instead of the keyspace's. */
  readonly whenStale?: WhenStale | undefined
}

/** A row, and what is known of it. */
export interface ReadAnswer<V = Uint8Array> {
  /** A database's row is JSON; null: there is no such row. Not to be written to. */
  readonly value: V | null
  /** Monotonic ms: the source showed this then, or later. NO_PROOF: nobody knows; only in a stale answer. */
  readonly asOfMs: number
  /** Where it came from: this process's memory, the shared one, or the database. */
  readonly tier: 'near' | 'tier' | 'source'
  /** Not proved to be within the bound; only where `whenStale` is 'serve'. */
  readonly stale: boolean
  /** The session's ticket after this. */
  readonly session: SessionTicket
}

interface Call<V> extends PlacedKey<V> {
  readonly boundMs: number
  readonly session: SessionTicket | undefined
  readonly whenStale: WhenStale
  readonly calledMs: number
}

/** What came of asking for a value's renewal. */
interface RenewLook<V> extends TierLook<V> {
  readonly read: TierLease<V> | undefined
  readonly token: Token
}

/** A load under a lease, until it is filled. */
interface Flight<V> {
  readonly token: Token
  /** The lane's mark at the lease. */
  readonly markLsn: bigint
  readonly loaded: Promise<LoadedRow<V>>
  /** Its load is over. */
  isFilled: boolean
}

const FIRST_PAUSE_MS = 1
const PAUSE_MS_MAX = 32
/** Of what has been waited already: a load that takes seconds is not looked for every few milliseconds. */
const PAUSE_SHARE_MAX = 1 / 16
/** For so many, one after the other, a caller waits longer than `limits.fillWaitMs`. */
const LEASES_WAITED_FOR = 2

export class Reader<V = Uint8Array> {
  readonly #keyspaces: Keyspaces<V>
  readonly #clock: Clock
  readonly #times: TimesToLive
  readonly #drawToken: () => Token
  readonly #watch: SuspendWatch
  readonly #flights = new Map<string, Flight<V>>()
  readonly #held: HeldLeases
  /** How many fills are under way. */
  #filling = 0
  #allFilled: (() => void) | undefined

  constructor(keyspaces: Keyspaces<V>, clock: Clock, random: Random) {
    this.#keyspaces = keyspaces
    this.#clock = clock
    this.#times = new TimesToLive(clock, random)
    this.#drawToken = () => randomToken(random)
    this.#watch = new SuspendWatch(clock)
    this.#held = new HeldLeases(clock)
  }

  /**
   * One row as JSON. Rejects with ROW_KEY_INVALID, STALE (where `whenStale` is 'fail'), SOURCE_OVERLOADED, or as the source
   * does.
   */
  async read(key: string, options: ReadOptions = {}): Promise<ReadAnswer<V>> {
    const call = this.#call(key, options)
    if (call.boundMs === 0) return this.#load(call)
    const near = this.#readNear(call)
    if (near?.stale === false) return near
    return this.#readTier(call, near)
  }

  /**
   * Loads what is there anew, before it has to be, while it goes on being answered, here and by all who share the tier. False:
   * somebody loads it already, or has; what a shared tier has that is newer is near then. Rejects as the source does.
   */
  async renew(key: string): Promise<boolean> {
    const call = this.#call(key, {})
    const asked = this.#askAnew(call, call.keyspace.backing.near?.find(key)?.record.stamp)
    const look = asked instanceof Promise ? await asked : asked
    const { read, token } = look
    if (read?.lane === undefined) return false
    const { outcome, lane, record } = read
    if (outcome === 'present' && record?.type === 'value') this.#admit(call, look.ticket, lane, record)
    if (outcome !== 'granted') return false
    await this.#fly(call, look, token, lane)
    return true
  }

  // Without a log what is there is not going to be fresher: what is loaded now takes its place.
  async #loadAnew(call: Call<V>, stamp: Stamp): Promise<ReadAnswer<V>> {
    if (call.keyspace.backing.source.log !== false) return this.#load(call)
    let pauseMs = 0
    for (let than = stamp; ;) {
      const asked = this.#askAnew(call, than)
      // Without a wait where there is none: whoever comes next in this turn waits for this load.
      const look = asked instanceof Promise ? await asked : asked
      const { read, token } = look
      if (read?.lane === undefined) return this.#load(call)
      const { outcome, lane, record } = read
      if (outcome === 'granted') return this.#fly(call, look, token, lane)
      if (outcome === 'present' && record?.type === 'value') {
        this.#admit(call, look.ticket, lane, record)
        const found = this.#result(call, call.keyspace.memory, record, NO_PROOF)
        if (!found.stale && meetsTicket(call.session, lane, record.stamp)) return found
        than = record.stamp
      } else if (outcome !== 'leased' || !this.#isPatient(call)) return this.#load(call)
      pauseMs = await this.#pause(call, pauseMs)
    }
  }

  #askAnew(call: Call<V>, than: Stamp | undefined): Awaitable<RenewLook<V>> {
    const { key, lane, keyspace } = call
    const { source, tier, near, proofs } = keyspace.backing
    const token = this.#drawToken()
    const begun = { ticket: near?.begin(key) ?? 0, known: proofs.known(lane), token }
    const options = { token, epoch: source.epoch, leaseMs: limits.leaseMs, than }
    const asked = keyspace.calls.call(lane, () => tier.renew(key, options))
    return asked instanceof Promise ? asked.then(read => ({ ...begun, read })) : { ...begun, read: asked }
  }

  // Whoever loads it holds his lease for as long as he is there. One that goes from hand to hand is of a key that is written all
  // the time: nothing is ever filled.
  #isPatient({ keyspace, calledMs }: Call<V>, leases = 1): boolean {
    const waitedMs = this.#clock.monotonicMs() - calledMs
    const { loadMs = limits.fillWaitMs } = keyspace.backing.source
    return waitedMs < limits.fillWaitMs || (leases <= LEASES_WAITED_FOR && waitedMs < loadMs)
  }

  /** A load of the key that is under way fills nothing, and whoever asks from now on does not wait for it. */
  async giveUpLoad(key: string): Promise<void> {
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    this.#flights.delete(key)
    await this.#giveBack(this.#keyspaces.place(key), flight.token)
  }

  /** The same of all loads. */
  giveUpLoads(): void {
    for (const key of this.#flights.keys()) void this.giveUpLoad(key)
  }

  /**
   * To be called when nothing is asked for any more. Resolves once what was loaded is in the tier, or the tier has not answered
   * in time; loads that are under way fill nothing, and nobody has to wait for them.
   */
  async finish(): Promise<void> {
    const given: Awaitable<unknown>[] = []
    for (const [key, flight] of this.#flights) {
      if (flight.isFilled) continue
      this.#land(key, flight)
      given.push(this.#giveBack(this.#keyspaces.place(key), flight.token))
    }
    await Promise.allSettled(given)
    if (this.#filling > 0) await new Promise<void>(resolve => (this.#allFilled = resolve))
  }

  async #pause(call: Call<V>, lastMs: number): Promise<number> {
    const longestMs = Math.max(PAUSE_MS_MAX, (this.#clock.monotonicMs() - call.calledMs) * PAUSE_SHARE_MAX)
    const pauseMs = Math.min(longestMs, Math.max(FIRST_PAUSE_MS, lastMs * 2))
    await sleep(this.#clock, pauseMs)
    return pauseMs
  }

  /**
   * What memory holds, here or in the tier, as fresh as asked for; undefined: nothing. The source is not asked. Rejects with STALE, where
   * `whenStale` is 'fail' and there is something older.
   */
  async held(key: string, options: ReadOptions = {}): Promise<ReadAnswer<V> | undefined> {
    const call = this.#call(key, options)
    const near = this.#readNear(call)
    if (near?.stale === false) return near
    const look = await call.keyspace.looks.look(call.lane, key, undefined)
    const { lane, record } = look.read ?? {}
    if (lane === undefined) return near && this.#past(call, near)
    if (record?.type !== 'value') return undefined
    const { keyspace } = call
    if (keyspace.memory === 'tier' && this.#times.isOver(keyspace, record)) return undefined
    const found = this.#result(
      call,
      keyspace.memory,
      record,
      proofOf(look.known, keyspace.backing.proofs.samples(), lane),
    )
    this.#admit(call, look.ticket, lane, record)
    return found.stale ? this.#past(call, found) : found
  }

  // Where no source can be asked for something fresher.
  #past(call: Call<V>, answer: ReadAnswer<V>): ReadAnswer<V> | undefined {
    if (call.whenStale === 'serve') return answer
    if (call.whenStale === 'source') return undefined
    throw this.#stale(call, this.#clock.monotonicMs() - answer.asOfMs)
  }

  #call(key: string, options: ReadOptions): Call<V> {
    const placed = this.#keyspaces.place(key)
    const { keyspace } = placed
    return {
      ...placed,
      boundMs: options.maxStalenessMs ?? keyspace.maxStalenessMs,
      session: options.session,
      whenStale: options.whenStale ?? keyspace.whenStale,
      calledMs: this.#now(),
    }
  }

  // The time, and whether all proofs of before are void.
  #now(): number {
    const nowMs = this.#clock.monotonicMs()
    this.#watch.jumped(nowMs, this.#clock.wallMs())
    return nowMs
  }

  #readNear(call: Call<V>): ReadAnswer<V> | undefined {
    const found = call.keyspace.backing.near?.find(call.key)
    if (found === undefined) return undefined
    // The clock that near entries expire by stands still while the machine is suspended.
    if (this.#times.isOver(call.keyspace, found.record)) return undefined
    if (!meetsTicket(call.session, found.lane, found.record.stamp)) return undefined
    return this.#result(call, 'near', found.record, found.asOfMs)
  }

  #result(call: Call<V>, tier: 'near' | 'tier', record: ValueRecord<V>, laneAsOfMs: number): ReadAnswer<V> {
    const nowMs = this.#now()
    const { stamp, payload } = record
    const asOfMs = this.#asOf(call, stamp, laneAsOfMs, nowMs)
    const stale = !isFresh(asOfMs, nowMs, call.boundMs)
    return { value: payload, asOfMs, tier, stale, session: ticketAfter(call.session, stamp) }
  }

  #asOf(call: Call<V>, stamp: Stamp, laneAsOfMs: number, nowMs: number): number {
    // Without a log nothing vouches for a lane; the stamp says when the row was loaded or written.
    if (call.keyspace.backing.source.log === false) return nowMs - this.#times.age(stamp)
    return this.#trusted(laneAsOfMs)
  }

  #trusted(asOfMs: number): number {
    if (asOfMs < this.#watch.trustedFromMs) return NO_PROOF
    return asOfMs
  }

  async #readTier(call: Call<V>, near: ReadAnswer<V> | undefined): Promise<ReadAnswer<V>> {
    const { key, lane, keyspace } = call
    let takesLease = keyspace.absences.isHigh
    let pauseMs = 0
    let awaited: Token | undefined
    let leases = 0
    for (let looks = 1; ; looks++) {
      const looked = keyspace.looks.look(lane, key, takesLease ? this.#drawToken : undefined)
      // Without a wait where there is none: whoever comes next in this turn finds the flight.
      const look = looked instanceof Promise ? await looked : looked
      const { read, token } = look
      if (read?.lane === undefined) return this.#withoutTier(call, near)
      const { record } = read
      const own = record?.type === 'lease' && record.token === token
      if (looks === 1) keyspace.absences.count(record === undefined || own)
      if (record === undefined) {
        // The lane is of another epoch than the source: it gives out no lease for a load from there.
        if (token !== undefined) return this.#load(call)
        takesLease = true
        continue
      }
      if (record.type === 'fence') return this.#load(call)
      if (record.type === 'value') return this.#fromTier(call, look, read.lane, record)
      const flight = this.#flights.get(key)
      if (flight?.token === record.token) return this.#join(call, look, read.lane, flight)
      if (own) return this.#fly(call, look, record.token, read.lane)
      if (record.token !== awaited) leases++
      awaited = record.token
      if (!this.#isPatient(call, leases)) return this.#load(call)
      pauseMs = await this.#pause(call, pauseMs)
      // A value is what comes next as a rule.
      takesLease = false
    }
  }

  #withoutTier(call: Call<V>, near: ReadAnswer<V> | undefined): Promise<ReadAnswer<V>> | ReadAnswer<V> {
    if (near !== undefined && call.whenStale === 'serve') return near
    return this.#load(call)
  }

  #fromTier(
    call: Call<V>,
    look: TierLook<V>,
    lane: LaneState,
    record: ValueRecord<V>,
  ): Promise<ReadAnswer<V>> | ReadAnswer<V> {
    const { proofs } = call.keyspace.backing
    const result = this.#result(call, call.keyspace.memory, record, proofOf(look.known, proofs.samples(), lane))
    // One that was stored late has been kept for longer than it should.
    if (call.keyspace.memory === 'tier' && this.#times.isOver(call.keyspace, record)) return this.#load(call)
    this.#admit(call, look.ticket, lane, record)
    if (!meetsTicket(call.session, lane, record.stamp)) return this.#load(call)
    if (!result.stale || call.whenStale === 'serve') return result
    if (call.whenStale === 'source') return this.#loadAnew(call, record.stamp)
    throw this.#stale(call, this.#clock.monotonicMs() - result.asOfMs)
  }

  #stale(call: Call<V>, ageMs: number): TidemarkError {
    const { name } = call.keyspace.description
    const age = Number.isFinite(ageMs) ? `proved only as of ${Math.round(ageMs)} ms ago` : 'not proved at all'
    return new TidemarkError(
      'STALE',
      `'${call.key}' is ${age}; the keyspace '${name}', or the call, allows ${call.boundMs} ms (maxStaleness) ` +
        `and fails past that (whenStale: 'fail')`,
    )
  }

  #admit(call: Call<V>, ticket: number, lane: LaneState, record: ValueRecord<V>): void {
    const { near } = call.keyspace.backing
    if (near === undefined) return
    const leftMs = this.#times.left(call.keyspace, record)
    if (leftMs === undefined) near.admit(call.key, { ticket, lane, record })
    else if (leftMs > 0) near.admit(call.key, { ticket, lane, record, ttlMs: leftMs })
  }

  // From the source, for this caller and those who call before the query is sent; the tier hears nothing of it.
  async #load(call: Call<V>): Promise<ReadAnswer<V>> {
    const { keyspace, id } = call
    return loadedAnswer(call, await keyspace.loads.load(keyspace.description.name, id))
  }

  // Loads under a lease, for all who ask for the key in this process meanwhile.
  async #fly(call: Call<V>, look: TierLook<V>, token: Token, lane: LaneState): Promise<ReadAnswer<V>> {
    const { keyspace, key, id } = call
    const loaded = keyspace.loads.load(keyspace.description.name, id)
    const flight: Flight<V> = { token, markLsn: lane.mark.lsn, loaded, isFilled: false }
    this.#flights.set(key, flight)
    const held = this.#hold(call, token)
    try {
      const result = loadedAnswer(call, await loaded)
      void this.#fill(call, look, flight, lane, await loaded)
      return result
    } catch (error) {
      this.#land(key, flight)
      void this.#giveBack(call, token)
      throw error
    } finally {
      this.#held.letGo(held)
    }
  }

  #hold({ keyspace, key, lane }: Call<V>, token: Token): HeldLease {
    const { calls, backing } = keyspace
    const takenMs = this.#clock.monotonicMs()
    const untilMs = takenMs + (backing.source.loadMs ?? limits.sourceTimeoutMs)
    const held = { tier: backing.tier, calls, lane, key, token, takenMs, untilMs }
    this.#held.take(held)
    return held
  }

  // Nobody has to wait for a lease that is not going to be filled.
  #giveBack({ keyspace, key, lane }: PlacedKey<V>, token: Token): Awaitable<unknown> {
    return keyspace.calls.call(lane, () => keyspace.backing.tier.hold(key, token, 0))
  }

  async #fill(
    call: Call<V>,
    look: TierLook<V>,
    flight: Flight<V>,
    lane: LaneState,
    loaded: LoadedRow<V>,
  ): Promise<void> {
    const { keyspace, key } = call
    const { backing } = keyspace
    const stamp = loadStamp(loaded, flight.markLsn, backing.source.log === false)
    const leftMs = this.#times.left(keyspace, { payload: loaded.row, stamp })
    const value = { payload: loaded.row, stamp, ...(leftMs === undefined ? {} : { ttlMs: leftMs }) }
    flight.isFilled = true
    this.#filling++
    try {
      // Its time is over, or it has none: it was for those who waited for it.
      if (leftMs !== undefined && leftMs <= 0) {
        await this.#giveBack(call, flight.token)
        return
      }
      const outcome = await keyspace.calls.call(call.lane, () => backing.tier.fill(key, flight.token, value))
      if (outcome !== 'filled') return
      const { generation } = lane
      this.#admit(call, look.ticket, lane, { type: 'value', generation, stamp, payload: loaded.row })
    } finally {
      this.#land(key, flight)
      if (--this.#filling === 0) this.#allFilled?.()
    }
  }

  #land(key: string, flight: Flight<V>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }

  // While the lease stands, nothing has happened to the key since before the flight's query.
  async #join(call: Call<V>, look: TierLook<V>, lane: LaneState, flight: Flight<V>): Promise<ReadAnswer<V>> {
    const provedMs = proofOf(look.known, call.keyspace.backing.proofs.samples(), lane)
    const loaded = await flight.loaded
    // Strictly: at the same time may mean before.
    if (loaded.asOfMs > call.calledMs) return loadedAnswer(call, loaded)
    // What vouches for the lane says nothing of a row from another database.
    if (loaded.stamp.epoch !== lane.generation.epoch) return this.#load(call)
    const nowMs = this.#now()
    const stamp = loadStamp(loaded, flight.markLsn, false)
    const asOfMs = this.#trusted(Math.max(loaded.asOfMs, provedMs))
    if (!isFresh(asOfMs, nowMs, call.boundMs)) return this.#load(call)
    if (!meetsTicket(call.session, lane, stamp)) return this.#load(call)
    return { ...loadedAnswer(call, loaded), asOfMs }
  }
}

function loadedAnswer<V>(call: Call<V>, { row, asOfMs, stamp }: LoadedRow<V>): ReadAnswer<V> {
  return { value: row, asOfMs, tier: 'source', stale: false, session: ticketAfter(call.session, stamp) }
}

// Without a log, `upto` says when the load began, in wall ms.
function loadStamp(loaded: LoadedRow<unknown>, markLsn: bigint, logless: boolean): LoadStamp {
  const stamp = { ...loaded.stamp, lsn: markLsn }
  return logless ? { ...stamp, upto: BigInt(Math.floor(loaded.asOfWallMs)) } : stamp
}
