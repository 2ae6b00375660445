// The session of a keyspace with `session: true`: all calls of this process that name no other. A key never goes back to what it
// was before it was last seen or written here. Each key is by itself: what was seen of one asks nothing of the others, which
// would have to come from the source until the log has been carried as far, at every load and every write.
//
// A key's ticket says up to where the log may reflect in what was seen of it; what surely reflects as much may be answered. So
// may the very value that was seen last, whatever is known of its record: nobody can tell that from standing still.
//
// So many keys are remembered; of those that were seen longest ago only how far the latest of them reaches in each epoch, which
// holds for all keys that are not remembered.
// Not for: sessions of several keyspaces, or of one user's request (session.ts).
import { isDeepStrictEqual } from 'node:util'
import { limits } from '../base/limits.ts'
import { mergeTickets, UNKNOWN_TICKET, type SessionTicket } from '../coherence/session.ts'
import type { CallSession } from './call-session.ts'

interface Seen {
  /** An object of its own each time something is seen, by which calls that overlap know. */
  readonly ticket: SessionTicket
  /** undefined: several were seen at once, or what was written is not known. */
  value: unknown
}

/** Of the past ones, which come back only where a call is late, or a key was seen in two at once. */
const EPOCHS_MAX = 8

export class KeyspaceSession implements CallSession {
  readonly #keysMax: number
  /** The one that was seen longest ago comes first. */
  readonly #seen = new Map<string, Seen>()
  /** An object of its own each time a key is forgotten: calls that were under way for that one know by it. */
  #forgotten: SessionTicket | undefined
  /** By epoch, how far reaches what was seen in it of keys that were forgotten, or seen in several at once. */
  readonly #reached = new Map<bigint, SessionTicket>()

  constructor(keysMax: number = limits.sessionKeysMax) {
    this.#keysMax = keysMax
  }

  of(id: string): SessionTicket | undefined {
    return this.#seen.get(id)?.ticket ?? this.#forgotten
  }

  saw(id: string, called: SessionTicket | undefined, answered: SessionTicket, value: unknown): void {
    const seen = this.#seen.get(id)
    const now = seen?.ticket ?? this.#forgotten
    const merged = mergeTickets(now, called, answered)
    if (merged === UNKNOWN_TICKET) {
      this.#reach(now!)
      this.#reach(answered)
    }
    const ticket = { ...merged }
    // Of calls that overlap nobody knows which one has seen more.
    const known = now === called || (value !== undefined && isDeepStrictEqual(seen?.value, value))
    this.#seen.delete(id)
    this.#seen.set(id, { ticket, value: known ? value : undefined })
    if (this.#seen.size > this.#keysMax) this.#forgetOldest()
  }

  showsLatest(id: string, value: unknown): boolean {
    const seen = this.#seen.get(id)
    if (seen?.value === undefined) return false
    if (seen.value === value) return true
    if (!isDeepStrictEqual(seen.value, value)) return false
    // The next look is a comparison of references.
    seen.value = value
    return true
  }

  #forgetOldest(): void {
    for (const [id, { ticket }] of this.#seen) {
      this.#seen.delete(id)
      // What was seen later is of the later epoch.
      this.#forgotten = { ...this.#reach(ticket) }
      return
    }
  }

  // The furthest of the ticket's epoch.
  #reach(ticket: SessionTicket): SessionTicket {
    const known = this.#reached.get(ticket.epoch)
    const furthest = known !== undefined && known.position >= ticket.position ? known : ticket
    this.#reached.delete(ticket.epoch)
    this.#reached.set(ticket.epoch, furthest)
    if (this.#reached.size > EPOCHS_MAX) this.#reached.delete(this.#reached.keys().next().value!)
    return furthest
  }
}
