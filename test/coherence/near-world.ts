// A lane of a tier, a database, a tide and one near cache, driven step by step by numbers that a property draws: messages
// are lost, doubled and reordered, reads and loads are slow, the tier fails over to what it was before. What was committed
// when is known here alone; the check knows nothing of the rules.
import { ManualClock } from '../../src/testing/clock.ts'
import { MapNear, type NearRules } from '../../src/cache/map-near.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'

export const KEYS: readonly string[] = ['w:1', 'w:2', 'w:3']
const START = 100n
const CHECKPOINTS_MAX = 4

/** Of one key, or of the whole database at one time. */
type Versions = Map<string, Version[]>

interface Version {
  readonly number: number
  readonly lsn: bigint
}

interface Committed {
  readonly xid: bigint
  readonly lsn: bigint
  readonly changes: readonly { readonly key: string; readonly at: bigint; readonly change: bigint; number: number }[]
}

export class NearWorld {
  readonly near: MapNear
  admitted = 0
  checked = 0
  readonly #clock = new ManualClock()
  readonly #tier: MemoryTier
  /** By epoch: a database that took over does not know all that the one before did. */
  readonly #histories: Versions[] = [new Map(KEYS.map(key => [key, [{ number: 0, lsn: 0n }]]))]
  #number = 0
  #position = START
  #xid = 1n
  #nonce = 1
  #token = 1n
  #log: Committed[] = []
  #messages: LaneMessage[] = []
  /** What is under way, to go on at a later step. */
  #pending: (() => void)[] = []
  readonly #checkpoints: (() => void)[] = []

  constructor(rules: NearRules) {
    this.#tier = new MemoryTier({
      clock: this.#clock,
      lanes: 1,
      publish: (_lane, message) => this.#messages.push(message),
    })
    this.near = new MapNear({ lanes: 1, clock: this.#clock, entriesMax: 100, rules })
    this.#reset()
  }

  /** What the near cache would answer although a later row was committed within its mark; undefined: nothing. */
  violation(): string | undefined {
    for (const key of KEYS) {
      const found = this.near.find(key)
      if (found === undefined) continue
      this.checked++
      const number = Number(Buffer.from(found.record.payload!).toString())
      const { generation, mark } = found.lane
      const versions = this.#histories[Number(generation.epoch)]!.get(key)!
      const at = versions.findIndex(version => version.number === number)
      if (at < 0) return `${key} is held as ${number}, which the database does not know`
      const next = versions[at + 1]
      if (next !== undefined && next.lsn <= mark.lsn) {
        return `${key} is held as ${number} under the mark ${mark.lsn}; ${next.number} was committed at ${next.lsn}`
      }
    }
    return undefined
  }

  /** One step: which, and two numbers that it chooses by. */
  step(which: number, a: number, b: number): void {
    const key = KEYS[a % KEYS.length]!
    const steps = [
      () => this.#commit(key, b % 3 === 0 ? KEYS[(a + 1) % KEYS.length] : undefined),
      () => this.#apply(1 + (b % 2), a % 2 === 0),
      () => this.#read(key),
      () => this.#load(key),
      () => this.#goOn(a),
      () => this.#goOn(b),
      () => this.#deliver(),
      () => this.#deliver(),
      () => this.#deliver(),
      () => this.#initialise(),
      () => this.#remember(),
      () => {
        if (a % 3 === 0) this.#disturbMessages(a, b)
        else if (a % 3 === 1) this.#failOver(a, b)
        else this.#tier.voidKey(key)
      },
    ]
    steps[which % steps.length]!()
  }

  get #epoch(): bigint {
    return BigInt(this.#histories.length - 1)
  }

  #current(key: string): Version {
    return this.#histories.at(-1)!.get(key)!.at(-1)!
  }

  #bytes(number: number): Buffer {
    return Buffer.from(String(number))
  }

  #commit(...keys: readonly (string | undefined)[]): void {
    const xid = this.#xid++
    const changes = keys
      .filter(key => key !== undefined)
      .map(key => {
        const change = ++this.#position
        return { key, change, at: ++this.#position, number: ++this.#number }
      })
    const lsn = ++this.#position
    const epoch = this.#epoch
    for (const { key, number } of changes) this.#histories.at(-1)!.get(key)!.push({ number, lsn })
    this.#log.push({ xid, lsn, changes })
    for (const { key, at, number } of changes) {
      this.#pending.push(() => {
        const stamp = { kind: 'write', xid, at, epoch, upto: lsn } as const
        this.#tier.put(key, { payload: this.#bytes(number), stamp })
      })
    }
  }

  // All at once, or one transaction change by change.
  #apply(transactions: number, inParts: boolean): void {
    const lane = this.#tier.lane(0)
    if (lane === undefined || lane.generation.epoch !== this.#epoch) return
    const due = this.#log.filter(({ lsn }) => lsn > lane.mark.lsn)
    const [first] = due
    if (first === undefined) return this.#move(lane, ++this.#position, 0n, [])
    const rest = eventsOf(first).filter(({ change }) => change > lane.mark.sub)
    if ((inParts && rest.length > 1) || lane.mark.sub !== 0n) {
      const [part] = rest
      if (part !== undefined && rest.length > 1) this.#move(lane, lane.mark.lsn, part.change, [part])
      else this.#move(lane, first.lsn, 0n, rest)
      return
    }
    const batch = due.slice(0, transactions)
    this.#move(lane, batch.at(-1)!.lsn, 0n, batch.flatMap(eventsOf))
  }

  #move(lane: LaneState, lsn: bigint, sub: bigint, events: readonly ChangeEvent[]): void {
    this.#tier.apply(0, { generation: lane.generation, prev: lane.mark, next: { lsn, sub }, events })
  }

  #read(key: string): void {
    const ticket = this.near.begin(key)
    const { lane, record } = this.#tier.read([key])[0]!
    if (lane === undefined || record?.type !== 'value') return
    this.#pending.push(() => this.#admit(key, { ticket, lane, record }))
  }

  #load(key: string): void {
    const ticket = this.near.begin(key)
    const token = this.#token++
    const epoch = this.#epoch
    const { outcome, lane } = this.#tier.lease(key, { token, epoch, leaseMs: 1_000 })
    if (outcome !== 'granted' || lane === undefined) return
    const { xmax, number } = { xmax: this.#xid, number: this.#current(key).number }
    const snapshot = { xmin: xmax, xmax, inProgress: [], exact: true }
    const flush = this.#position
    const stamp = { kind: 'load', snapshot, flush, lsn: lane.mark.lsn, epoch, upto: flush } as const
    this.#pending.push(() => {
      const payload = this.#bytes(number)
      if (this.#tier.fill(key, token, { payload, stamp }) !== 'filled') return
      const record = { type: 'value', generation: lane.generation, stamp, payload } as const
      this.#pending.push(() => this.#admit(key, { ticket, lane, record }))
    })
  }

  #admit(key: string, entry: Parameters<MapNear['admit']>[1]): void {
    if (this.near.admit(key, entry)) this.admitted++
  }

  #goOn(at: number): void {
    const [next] = this.#pending.splice(at % Math.max(1, this.#pending.length), 1)
    next?.()
  }

  #deliver(): void {
    const message = this.#messages.shift()
    if (message !== undefined) this.near.message(0, message)
  }

  #disturbMessages(a: number, b: number): void {
    const [first, second] = this.#messages
    if (b % 4 === 0) {
      this.#messages = []
      this.near.lost([0])
    } else if (b % 4 === 1) this.#messages.shift()
    else if (b % 4 === 2 && first !== undefined) this.#messages.splice(a % this.#messages.length, 0, first)
    else if (first !== undefined && second !== undefined) this.#messages.splice(0, 2, second, first)
  }

  #initialise(): void {
    const header = this.#tier.lane(0)
    this.#pending.push(() => this.near.initialise(0, header))
  }

  #remember(): void {
    this.#checkpoints.push(this.#tier.checkpoint())
    if (this.#checkpoints.length > CHECKPOINTS_MAX) this.#checkpoints.shift()
  }

  #failOver(a: number, b: number): void {
    if (b % 4 === 0) return this.#reset()
    if (b % 4 === 1) return this.#databaseFailsOver(a)
    this.#checkpoints[a % Math.max(1, this.#checkpoints.length)]?.()
  }

  // To one that has not heard of the last transactions, and gives their positions out again.
  #databaseFailsOver(lost: number): void {
    this.#log = this.#log.slice(0, Math.max(0, this.#log.length - (lost % 3)))
    this.#position = this.#log.at(-1)?.lsn ?? START
    this.#histories.push(knownAt(this.#histories.at(-1)!, this.#position))
    this.#reset()
  }

  #reset(): void {
    const generation = { epoch: this.#epoch, nonce: this.#nonce++ }
    this.#tier.reset(0, { expected: this.#tier.lane(0), to: this.#position, generation })
  }
}

function knownAt(versions: Versions, lsn: bigint): Versions {
  return new Map([...versions].map(([key, all]) => [key, all.filter(version => version.lsn <= lsn)]))
}

function eventsOf({ xid, lsn, changes }: Committed): ChangeEvent[] {
  return changes.map(({ key, change }) => ({ key, xid, lsn, change }))
}
