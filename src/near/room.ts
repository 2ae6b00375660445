// The room that all spaces of a pool share, and who leaves it: S3-FIFO (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023). New entries queue in `small`; those that were read by the time they come out of it, and keys that
// left it lately (ghosts.ts), queue in `main`, whose entries go round once more for each read. Its decisions are policy/'s.
// An entry may be dead before it is gone: expired, of a dropped lane, with a dead tag, or an orphan of a space that was
// cleared. Dead entries are reclaimed when met: by a read, by eviction, by the sweep.
// Not for: keys to slots (object-space.ts).
import { frequencyAfterReclaim, queueToReclaim } from '../policy/eviction.ts'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { CoarseClock } from './coarse-clock.ts'
import { Ghosts, hashOfKey } from './ghosts.ts'
import { FIRST_SLOT, MAIN_END, SMALL_END, Slots } from './slots.ts'
import type { Stamp, Tag } from './slots.ts'

/** Why an entry left without having been deleted or replaced: `dead` is a dropped lane or a dead tag. */
export type Reason = 'room' | 'expired' | 'dead'

/** Entries that one eviction may let go round once more; after so many the next one leaves, read or not. */
const SPARED_MAX = 1_024
/** While there are orphans, a write that adds an entry looks for some: so many at most, in so many slots at most. */
const ORPHANS_AT_ONCE = 16
const ORPHAN_SLOTS = 1_024
const SPACES_MAX = 65_536
/** Entries that leave one after another, or go round, whose memory is fetched together. */
const AHEAD = 16

/** By queue, and by number of a space. */
export interface Books {
  readonly small: number
  readonly main: number
  readonly smallBytes: number
  readonly mainBytes: number
  readonly orphans: number
  readonly slotsOf: readonly (ReadonlyMap<string, number> | undefined)[]
  readonly orphansOf: readonly number[]
  readonly freeNumbers: readonly number[]
}

export interface RoomOptions<V> {
  readonly clock: Clock
  readonly entriesMax: number
  /** Infinity: bytes are not counted. */
  readonly bytesMax: number
  readonly lanes: number
  /** Called once the entry is gone; it may use the pool. */
  readonly onReclaim: ((space: number, key: string, value: V, reason: Reason) => void) | undefined
  /** Whether anybody is told; without it somebody always is. */
  readonly isHeard: (() => boolean) | undefined
  readonly slept: ((nowMs: number) => number) | undefined
}

export class Room<V> extends Slots<V> {
  readonly clock: CoarseClock
  readonly entriesMax: number
  readonly bytesMax: number
  readonly #onReclaim: RoomOptions<V>['onReclaim']
  readonly #isHeard: RoomOptions<V>['isHeard']
  readonly #ghosts = new Ghosts()
  /** By number of a space; undefined when it was cleared. */
  readonly #slotsOf: (Map<string, number> | undefined)[] = []
  /** By number of a space that was cleared: entries that are left of it. */
  readonly #orphansOf: number[] = []
  readonly #freeNumbers: number[] = []
  #orphans = 0
  #small = 0
  #main = 0
  #smallBytes = 0
  #mainBytes = 0
  #swept = FIRST_SLOT
  /** By the queue's end: of so many of its first entries memory was fetched. */
  readonly #ahead = new Int32Array(FIRST_SLOT)

  constructor(options: RoomOptions<V>) {
    const { clock, entriesMax, bytesMax, lanes, slept } = options
    super({ entriesMax, lanes, sized: bytesMax !== Infinity, clock })
    this.clock = new CoarseClock(clock, {
      read: nowMs => {
        const sleptMs = slept === undefined ? 0 : slept(nowMs)
        if (sleptMs > 0) this.hasten(sleptMs)
      },
      counts: nowMs => this.setNow(nowMs),
    })
    this.entriesMax = options.entriesMax
    this.bytesMax = options.bytesMax
    this.#onReclaim = options.onReclaim
    this.#isHeard = options.isHeard
  }

  /** Entries, the dead ones that were not reclaimed yet included. */
  get entries(): number {
    return this.#small + this.#main
  }

  get totalBytes(): number {
    return this.#smallBytes + this.#mainBytes
  }

  /** Whether a callback is told of what leaves. It may use the pool. */
  get reports(): boolean {
    return this.#onReclaim !== undefined && (this.#isHeard === undefined || this.#isHeard())
  }

  get sized(): boolean {
    return this.bytesMax !== Infinity
  }

  // Reads.

  /** True: it is alive, and counts as read. False: it is dead, and gone unless it is kept. */
  touch(slot: number): boolean {
    const meta = this.meta(slot)
    if (this.isNowBeforeEnd(slot) && this.isOfItsEra(meta) && !this.isTagged(meta)) {
      this.countRead(slot, meta)
      return true
    }
    return this.#touchSlowly(slot)
  }

  /** As `touch`, and its lane is proved to be no older than the bound; without that it stays, and does not count as read. */
  touchProved(slot: number, nowMs: number, boundMs: number): boolean {
    const meta = this.meta(slot)
    if (!(this.isBeforeEnd(slot, nowMs) && this.isOfItsEra(meta) && !this.isTagged(meta))) {
      if (this.#buryDead(slot, nowMs)) return false
    }
    // Written so that a NaN proves nothing.
    if (!(nowMs - this.asOfMsOf(meta) <= boundMs)) return false
    this.countRead(slot, meta)
    return true
  }

  /** Whether it can still be read. */
  isAlive(slot: number, nowMs: number): boolean {
    return this.#reasonOfDeath(slot, nowMs) === undefined && this.#slotsOf[this.space(slot)] !== undefined
  }

  /** Whether it can be read, or could until its time was over, and is kept for a while. */
  isKept(slot: number, nowMs: number): boolean {
    if (this.expiresAtMs(slot) + this.graceMs(slot) <= nowMs) return false
    const meta = this.meta(slot)
    if (!this.isOfItsEra(meta) || (this.isTagged(meta) && this.hasDeadTag(slot))) return false
    return this.#slotsOf[this.space(slot)] !== undefined
  }

  #touchSlowly(slot: number): boolean {
    if (this.#buryDead(slot, this.clock.read())) return false
    this.countRead(slot, this.meta(slot))
    return true
  }

  #reasonOfDeath(slot: number, nowMs: number): 'expired' | 'dead' | undefined {
    if (this.expiresAtMs(slot) <= nowMs) return 'expired'
    const meta = this.meta(slot)
    if (!this.isOfItsEra(meta)) return 'dead'
    return this.isTagged(meta) && this.hasDeadTag(slot) ? 'dead' : undefined
  }

  #buryDead(slot: number, nowMs: number): boolean {
    const reason = this.#reasonOfDeath(slot, nowMs)
    if (reason === undefined) return false
    if (!this.isKept(slot, nowMs)) this.#reclaim(slot, reason)
    return true
  }

  // Writes.

  /** A slot for a new entry of a space. `makeRoom` was called; the caller writes it, and its key into the space's map. */
  insert(space: number, key: string, bytes: number): number {
    // Nobody asks for it before anything has left.
    const hash = this.#ghosts.capacity > 0 ? hashOfKey(key) : 0
    const toMain = hash !== 0 && this.#ghosts.take(hash)
    const slot = this.takeSlot(key, space)
    this.setHash(slot, hash)
    this.setBytes(slot, bytes)
    this.link(slot, toMain ? MAIN_END : SMALL_END)
    this.setMeta(slot, this.metaOf(0, toMain, 0))
    this.#count(toMain, 1, bytes)
    return slot
  }

  /** What an entry holds from now on; `attach` says the rest. It stays in its queue. */
  write(slot: number, value: V, expiresAtMs: number, lane: number, frequency: number): void {
    this.setMeta(slot, this.metaOf(lane, this.isMain(this.meta(slot)), frequency))
    this.setValue(slot, value, expiresAtMs)
    this.setGrace(slot, 0)
  }

  /** How long an entry is kept after its time, for those who ask for what is kept. */
  keep(slot: number, graceMs: number): void {
    this.setGrace(slot, graceMs)
  }

  attach(slot: number, stamp: Stamp | undefined, tags: readonly Tag[] | undefined): void {
    const tagged = tags !== undefined && tags.length > 0
    this.setExtras(slot, stamp === 'now' ? this.clock.readWallMs() : stamp, tagged ? tags : undefined)
    if (tagged) this.setTagged(slot)
  }

  /** An entry's bytes from now on, for which there is room. */
  resize(slot: number, bytes: number): void {
    this.#count(this.isMain(this.meta(slot)), 0, bytes - this.bytes(slot))
    this.setBytes(slot, bytes)
  }

  /** Takes an entry out, without a word; the caller sees to the space's map. */
  remove(slot: number): void {
    this.unlink(slot)
    this.#count(this.isMain(this.meta(slot)), -1, -this.bytes(slot))
    this.giveSlot(slot)
  }

  /** Evicts until one more entry of so many bytes, at most `bytesMax`, finds room. True: somebody was told of what left. */
  makeRoom(bytes: number): boolean {
    let told = false
    if (this.#orphans > 0) this.#sweepOrphans(ORPHAN_SLOTS, ORPHANS_AT_ONCE)
    while (this.entries >= this.entriesMax || this.totalBytes + bytes > this.bytesMax) told = this.#evict() || told
    return told
  }

  // Whether somebody was told.
  #evict(): boolean {
    for (let spared = 0; ; spared++) {
      // Of entries that take no bytes a queue may be full.
      const byBytes = this.sized && this.#small > 0 && this.#main > 0
      const queue = byBytes
        ? queueToReclaim(this.#smallBytes, this.#mainBytes)
        : queueToReclaim(this.#small, this.#main)
      const end = queue === 'small' ? SMALL_END : MAIN_END
      const slot = this.next(end)
      if (--this.#ahead[end]! < 0) this.#fetchAhead(end)
      const meta = this.meta(slot)
      const frequency = frequencyAfterReclaim(queue, this.frequencyOf(meta))
      if (frequency < 0 || spared === SPARED_MAX || !this.isKept(slot, this.clock.read())) {
        if (queue === 'small' && this.isOfItsEra(meta)) this.#remember(slot)
        const reports = this.reports
        const reason = reports ? (this.#reasonOfDeath(slot, this.clock.read()) ?? 'room') : 'room'
        this.#reclaim(slot, reason, reports)
        return reports
      }
      this.unlink(slot)
      this.link(slot, MAIN_END)
      this.setMain(slot, frequency)
      if (queue === 'small') {
        const bytes = this.bytes(slot)
        this.#count(false, -1, -bytes)
        this.#count(true, 1, bytes)
      }
    }
  }

  // What leaves was not touched for long: its slot, its key and its place in the map are far away in memory, each found through
  // the one before. Asked for one after another, as entries leave, all would be waited for; of several entries they are
  // fetched at once.
  #fetchAhead(end: number): void {
    this.#ahead[end] = AHEAD - 1
    for (let slot = this.next(end), i = 0; slot !== end && i < AHEAD; slot = this.next(slot), i++) {
      const slots = this.#slotsOf[this.space(slot)]
      assert(slots === undefined || slots.has(this.key(slot)!), 'an entry of a queue is found by its key')
    }
  }

  #remember(slot: number): void {
    // As many as the main queue holds, or is going to.
    if (this.#ghosts.capacity < this.entries >>> 1) this.#ghosts.resize(this.entries)
    const hash = this.hash(slot)
    this.#ghosts.add(hash === 0 ? hashOfKey(this.key(slot)!) : hash)
  }

  #reclaim(slot: number, reason: Reason, reports: boolean = this.reports): void {
    const space = this.space(slot)
    const slots = this.#slotsOf[space]
    const key = this.key(slot)!
    const value = this.value(slot)
    this.remove(slot)
    if (slots === undefined) {
      this.#orphans--
      if (--this.#orphansOf[space]! === 0) this.#freeNumbers.push(space)
      return
    }
    slots.delete(key)
    if (reports) this.#onReclaim!(space, key, value, reason)
  }

  #count(main: boolean, entries: number, bytes: number): void {
    if (main) {
      this.#main += entries
      this.#mainBytes += bytes
    } else {
      this.#small += entries
      this.#smallBytes += bytes
    }
  }

  /** What it counts, for the check to count again. */
  books(): Books {
    return {
      small: this.#small,
      main: this.#main,
      smallBytes: this.#smallBytes,
      mainBytes: this.#mainBytes,
      orphans: this.#orphans,
      slotsOf: this.#slotsOf,
      orphansOf: this.#orphansOf,
      freeNumbers: this.#freeNumbers,
    }
  }

  // Spaces, lanes, the sweep.

  /** A number for a space whose keys `slots` holds. */
  addSpace(slots: Map<string, number>): number {
    const number = this.#freeNumbers.pop() ?? this.#slotsOf.length
    assert(number < SPACES_MAX, `a pool has at most ${SPACES_MAX} spaces`)
    this.#slotsOf[number] = slots
    this.#orphansOf[number] = 0
    return number
  }

  /** Every entry of the space is an orphan from now on; it goes on under the number that is returned. */
  clearSpace(number: number): number {
    const slots = this.#slotsOf[number]!
    if (slots.size === 0) return number
    this.#slotsOf[number] = undefined
    this.#orphansOf[number] = slots.size
    this.#orphans += slots.size
    slots.clear()
    // So many spaces cleared, and nothing was written since: then this one takes its time.
    if (this.#freeNumbers.length === 0 && this.#slotsOf.length === SPACES_MAX) this.#sweepOrphans(this.unused, Infinity)
    return this.addSpace(slots)
  }

  dropLane(lane: number): void {
    if (this.nextEra(lane)) return
    for (let slot = FIRST_SLOT; slot < this.unused; slot++) {
      if (this.key(slot) !== undefined && this.lane(slot) === lane) this.#reclaim(slot, 'dead')
    }
  }

  /** Looks at so many slots after those of the last time, and reclaims the dead. Returns how many these were. */
  sweep(slots: number): number {
    const nowMs = this.clock.readExactly()
    this.keepBase(nowMs)
    let reclaimed = 0
    for (let i = Math.min(slots, this.unused - FIRST_SLOT); i > 0; i--) {
      const slot = this.#nextSwept()
      if (this.key(slot) === undefined || this.isKept(slot, nowMs)) continue
      this.#reclaim(slot, this.#reasonOfDeath(slot, nowMs) ?? 'dead')
      reclaimed++
    }
    return reclaimed
  }

  #sweepOrphans(slots: number, orphans: number): void {
    let left = orphans
    for (let i = Math.min(slots, this.unused - FIRST_SLOT); i > 0 && left > 0; i--) {
      const slot = this.#nextSwept()
      if (this.key(slot) === undefined || this.#slotsOf[this.space(slot)] !== undefined) continue
      this.#reclaim(slot, 'dead')
      left--
    }
  }

  #nextSwept(): number {
    if (this.#swept >= this.unused) this.#swept = FIRST_SLOT
    return this.#swept++
  }
}
