// This server as the tier of others (`tidemark://`): a store of its own, beside the one that plain keys and this server's own
// rows are in, so that neither sees the other's keys; lanes of its own; and a log of the lanes' messages, which every thread
// passes on to those of its clients that subscribed. Lanes and log are there twice, for rows of a database and for values
// without a log, since lanes belong to one kind of source; a client says which it wants (HELLO). Not for: what the operations are (tier/), and how they are asked for
// (commands/tier.ts).
//
//   any thread: operation -> message -> the log -> every thread with subscribers: their connections
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import { Store } from '../store/store.ts'
import type { SharedStore } from '../store/store-reader.ts'
import { EmbeddedTier } from '../tier/embedded-tier.ts'
import { FrameLog } from '../tier/frame-log.ts'
import { LaneTable } from '../tier/lane-table.ts'
import { tierParts, writeLost, writeMessage, type TierPart } from '../tier/tidemark-protocol.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'
import type { Client } from './client.ts'

/** What all threads share of it. */
export interface SharedServedTier {
  readonly store: SharedStore
  /** The lanes of all parts, one part after the other: records of one are nothing to another. */
  readonly table: SharedArrayBuffer
  readonly logs: Readonly<Record<TierPart, SharedArrayBuffer>>
}

/** As the supervisor has it. */
export class ServedTierMemory {
  readonly shared: SharedServedTier
  readonly #store: Store
  readonly #table = LaneTable.create(tierParts.length * limits.lanesDefault)
  readonly #logs = { rows: new FrameLog(0), values: new FrameLog(0) }

  constructor(options: { readonly memoryBytes: number; readonly threads: number; readonly seed: number }) {
    this.#store = Store.create(options)
    const logs = { rows: this.#logs.rows.shared, values: this.#logs.values.shared }
    this.shared = { store: this.#store.shared, table: this.#table.shared, logs }
  }

  /** Frees what a dead thread held. Its lanes have no header after this: whoever runs the tide begins them anew. */
  recover(deadThread: number): void {
    this.#store.recover(deadThread)
    this.#table.recover(deadThread)
    for (const part of tierParts) this.#logs[part].recover(deadThread)
  }
}

/** How long a thread waits for messages before it looks whether it is to go on. */
const WAIT_MS = 1_000

/** As one server thread has it. */
export class ServedTier {
  readonly #store: Store
  readonly #parts: Readonly<Record<TierPart, ServedPart>>

  constructor(shared: SharedServedTier, thread: number, clock: Clock) {
    const store = Store.attach(shared.store, thread)
    const table = LaneTable.attach(shared.table, thread)
    const open = (part: TierPart): ServedPart => {
      const firstLane = tierParts.indexOf(part) * limits.lanesDefault
      return new ServedPart({ store, table, firstLane, log: new FrameLog(thread, shared.logs[part]), clock })
    }
    this.#store = store
    this.#parts = { rows: open('rows'), values: open('values') }
  }

  part(name: TierPart): ServedPart {
    return this.#parts[name]
  }

  /** The client is gone, or wants no more. */
  leave(client: Client): void {
    for (const part of tierParts) this.#parts[part].leave(client)
  }

  /** Reclaims expired records that nobody asks for, a few at a time. */
  sweep(wallMs: number): void {
    this.#store.sweep(wallMs, limits.sweepBuckets)
  }

  close(): void {
    for (const part of tierParts) this.#parts[part].close()
  }
}

interface ServedPartOptions {
  readonly store: Store
  readonly table: LaneTable
  readonly firstLane: number
  readonly log: FrameLog
  readonly clock: Clock
}

/** The lanes of one kind. */
export class ServedPart {
  readonly tier: EmbeddedTier
  readonly #log: FrameLog
  readonly #subscribers = new Set<Client>()
  readonly #out = new ReplyWriter(4096)
  #passing = false
  #closed = false

  constructor({ store, table, firstLane, log, clock }: ServedPartOptions) {
    this.#log = log
    this.#out.resp = 3
    this.tier = new EmbeddedTier({
      store,
      table,
      firstLane,
      lanes: limits.lanesDefault,
      clock,
      keyspaceOf: () => 0,
      publish: (lane, message) => this.#publish(lane, message),
    })
  }

  #publish(lane: number, message: LaneMessage): void {
    if (!this.#log.active) return
    writeMessage(this.#out, lane, message)
    this.#log.append(this.#out.buffer.subarray(0, this.#out.length))
    this.#out.recycle()
  }

  /** From now on the client is sent every message. It speaks RESP3. */
  subscribe(client: Client): void {
    this.pass()
    this.#subscribers.add(client)
    this.#log.listen(true)
    if (!this.#passing) void this.#passOn()
  }

  leave(client: Client): void {
    if (!this.#subscribers.delete(client) || this.#subscribers.size > 0) return
    this.#log.listen(false)
  }

  close(): void {
    this.#closed = true
    this.#log.listen(false)
  }

  async #passOn(): Promise<void> {
    this.#passing = true
    while (this.#subscribers.size > 0 && !this.#closed) {
      await this.#log.more(WAIT_MS)
      this.pass()
    }
    this.#passing = false
  }

  /** Passes on what there is now. */
  pass(): void {
    if (this.#subscribers.size === 0) return
    let frames = this.#log.take()
    if (frames === undefined) {
      writeLost(this.#out)
      frames = this.#out.detach()
    }
    if (frames.length === 0) return
    for (const client of this.#subscribers) client.push(frames)
  }
}
