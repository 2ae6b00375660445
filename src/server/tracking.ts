// Which of one thread's clients track which keys, and telling them when one has changed: what CLIENT TRACKING promises to
// client-side caches. Keys are strings of one character a byte. That something has changed is read from the store's log of
// changes (store/change-log.ts), which all threads write.
//
//   a client reads a key:  remember it, count it in shared memory, and only then run the command
//   any thread changes it: after the change can be seen, it looks at the count and writes the key into the log
//   this thread:           reads the log, forgets who tracked the key, and sends each of them one message
//
// A message that concerns a client whose command still waits for a database is sent after its reply, which may be older.
// Not for: the commands (commands/tracking.ts).
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { RecordType } from '../store/layout.ts'
import type { Store } from '../store/store.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'
import { type Client, specialOf } from './client.ts'
import { ClientMode, type TrackingState } from './special-state.ts'

/** Expiry times are looked at in steps of so much. */
const EXPIRY_STEP_MS = 100
/** How long the thread waits for the log before it looks again by itself. */
const WAIT_MS = 1_000
const ID_MASK = 0x7fffffff

/** null: everything. */
export type ChangedKeys = readonly string[] | null

export interface TrackingParts {
  readonly store: Store
  readonly clock: Clock
  /** Tells a client of any thread, by its id; resolves to whether there is one. */
  readonly redirect: (id: number, keys: ChangedKeys) => Promise<boolean>
}

interface TrackedKey {
  readonly hash: number
  readonly clients: Set<Client>
}

export class Tracking {
  readonly #parts: TrackingParts
  readonly #keys = new Map<string, TrackedKey>()
  readonly #clients = new Set<Client>()
  readonly #expiring = new Map<number, string[]>()
  readonly #out = new ReplyWriter(1024)
  #watching = false
  #closed = false
  /** Keys that changed in this reading of the log, for clients in BCAST mode: whose change it was. */
  readonly #broadcast = new Map<string, number>()

  constructor(parts: TrackingParts) {
    this.#parts = parts
  }

  start(client: Client, tracking: TrackingState): void {
    const special = specialOf(client)
    if (special.tracking === undefined) this.#parts.store.changes.countClient(1, tracking.broadcast)
    special.tracking = tracking
    client.modes |= ClientMode.tracking
    this.#clients.add(client)
    if (!this.#watching) void this.#watch()
  }

  stop(client: Client): void {
    const tracking = client.special?.tracking
    if (tracking === undefined) return
    this.#forget(client, tracking)
    client.special!.tracking = undefined
    client.modes &= ~ClientMode.tracking
    this.#clients.delete(client)
    this.#parts.store.changes.countClient(-1, tracking.broadcast)
  }

  /** The thread serves no more. */
  close(): void {
    this.#closed = true
  }

  #forget(client: Client, tracking: TrackingState): void {
    for (const key of tracking.keys) {
      const tracked = this.#keys.get(key)
      if (tracked?.clients.delete(client) === true && tracked.clients.size === 0) this.#drop(key, tracked)
    }
    tracking.keys.clear()
    tracking.rows = false
  }

  #drop(key: string, { hash }: TrackedKey): void {
    this.#keys.delete(key)
    this.#parts.store.changes.countKey(hash, -1)
  }

  /** Remembers that a client is about to read bytes[start, end). */
  remember(client: Client, bytes: Buffer, start: number, end: number, isRow: boolean): void {
    const tracking = client.special!.tracking!
    const key = bytes.toString('latin1', start, end)
    if (isRow) tracking.rows = true
    let tracked = this.#keys.get(key)
    if (tracked === undefined) {
      const { store } = this.#parts
      tracked = { hash: store.hash(bytes, start, end), clients: new Set() }
      this.#keys.set(key, tracked)
      store.changes.countKey(tracked.hash, 1)
      this.#rememberExpiry(key, bytes, start, end, tracked.hash)
      if (this.#keys.size > limits.trackedKeysMax) this.#changed(this.#keys.keys().next().value!, 0)
    }
    tracked.clients.add(client)
    tracking.keys.add(key)
  }

  #rememberExpiry(key: string, bytes: Buffer, start: number, end: number, hash: number): void {
    const { store, clock } = this.#parts
    if (store.find(bytes, start, end, hash, clock.wallMs()) === RecordType.none || store.foundExpiresAtMs === 0) return
    const step = Math.ceil(store.foundExpiresAtMs / EXPIRY_STEP_MS)
    const others = this.#expiring.get(step)
    if (others === undefined) this.#expiring.set(step, [key])
    else others.push(key)
  }

  /** Tells of tracked keys whose time is over, which nobody may ever ask for again. */
  expire(): void {
    if (this.#clients.size === 0) return
    const nowMs = this.#parts.clock.wallMs()
    for (const [step, keys] of this.#expiring) {
      if (step * EXPIRY_STEP_MS > nowMs) continue
      this.#expiring.delete(step)
      for (const key of keys) {
        const tracked = this.#keys.get(key)
        if (tracked === undefined) continue
        const bytes = Buffer.from(key, 'latin1')
        const type = this.#parts.store.find(bytes, 0, bytes.length, tracked.hash, nowMs)
        if (type === RecordType.none) this.#changed(key, 0)
        else this.#rememberExpiry(key, bytes, 0, bytes.length, tracked.hash)
      }
    }
    this.drain()
  }

  /** Sends what there is to say now. */
  drain(): void {
    const { changes } = this.#parts.store
    if (this.#clients.size === 0 || !changes.hasMore) return
    let all = false
    let rows = false
    changes.read({
      key: (key, client) => {
        const text = key.toString('latin1')
        this.#broadcast.set(text, client)
        this.#changed(text, client)
      },
      all: () => {
        if (!all) this.#allChanged(() => true)
        all = true
      },
      rows: () => {
        if (!rows) this.#allChanged(({ rows, broadcast }) => rows || broadcast)
        rows = true
      },
    })
    this.#sendBroadcasts()
  }

  async #watch(): Promise<void> {
    this.#watching = true
    while (this.#clients.size > 0 && !this.#closed) {
      await this.#parts.store.changes.more(WAIT_MS)
      this.drain()
    }
    this.#watching = false
  }

  #changed(key: string, by: number): void {
    const tracked = this.#keys.get(key)
    if (tracked === undefined) return
    this.#drop(key, tracked)
    for (const client of tracked.clients) {
      const { tracking } = client.special!
      tracking!.keys.delete(key)
      if (!tracking!.noLoop || by !== (client.id & ID_MASK)) this.#tell(client, [key])
    }
  }

  #allChanged(concerns: (tracking: TrackingState) => boolean): void {
    this.#broadcast.clear()
    for (const client of this.#clients) {
      const tracking = client.special!.tracking!
      if (!concerns(tracking)) continue
      this.#forget(client, tracking)
      this.#tell(client, null)
    }
  }

  // As in Redis, the keys of one prefix go into one message, in the order of their bytes.
  #sendBroadcasts(): void {
    if (this.#broadcast.size === 0) return
    const keys = [...this.#broadcast].sort(([a], [b]) => (a < b ? -1 : 1))
    this.#broadcast.clear()
    for (const client of this.#clients) {
      const tracking = client.special!.tracking!
      if (!tracking.broadcast) continue
      for (const prefix of tracking.prefixes) {
        const own = client.id & ID_MASK
        const mine = keys.filter(([key, by]) => key.startsWith(prefix) && !(tracking.noLoop && by === own))
        if (mine.length > 0) this.#tell(client, mine.map(([key]) => key)) // prettier-ignore
      }
    }
  }

  #tell(client: Client, keys: ChangedKeys): void {
    client.whenAnswered(() => {
      const tracking = client.special?.tracking
      const redirect = tracking?.redirect ?? 0
      if (redirect === 0) return this.send(client, keys, false)
      void this.#parts.redirect(redirect, keys).then(found => {
        if (found || tracking === undefined) return
        tracking.broken = true
        if (client.resp !== 3) return
        const out = this.#begin(3)
        out.push(2)
        out.text('tracking-redir-broken')
        out.integer(redirect)
        this.#end(client)
      })
    })
  }

  #begin(resp: 2 | 3): ReplyWriter {
    this.#out.recycle()
    this.#out.resp = resp
    return this.#out
  }

  #end(client: Client): void {
    client.push(Buffer.from(this.#out.buffer.subarray(0, this.#out.length)))
  }

  /** Sends the message to this client: for itself, or for one that redirects to it. */
  send(client: Client, keys: ChangedKeys, redirected: boolean): void {
    const listens = (client.modes & ClientMode.subscribed) !== 0
    if (client.resp === 2 && !(redirected && listens)) return
    const out = this.#begin(client.resp)
    if (client.resp === 3) {
      out.push(2)
      out.text('invalidate')
    } else {
      out.array(3)
      out.text('message')
      out.text('__redis__:invalidate')
    }
    if (keys === null) out.nil()
    else {
      out.array(keys.length)
      for (const key of keys) out.bulk(Buffer.from(key, 'latin1'))
    }
    this.#end(client)
  }

  /** Another thread asks to tell one of this thread's clients. */
  sendTo(clients: ReadonlyMap<number, Client>, id: number, keys: ChangedKeys): boolean {
    const client = clients.get(id)
    if (client === undefined) return false
    this.send(client, keys, true)
    return true
  }
}
