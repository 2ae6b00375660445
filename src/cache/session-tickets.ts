// How far into each database's log reaches what a session has seen or written: of a connection, of a user's request. It may go
// on elsewhere, with the tickets it had; then nobody knows which databases those were of, but by their epochs.
// Not for: what a ticket asks of an answer (coherence/session.ts).
import { mergeTickets, UNKNOWN_TICKET, type SessionTicket } from '../coherence/session.ts'

/** A database, as its tickets know it. */
interface Ticketed {
  readonly epoch: bigint
}

export class SessionTickets {
  readonly #brought: readonly SessionTicket[]
  /** Most connections need none. */
  #tickets: Map<object, SessionTicket> | undefined

  /** `brought`: what the session had elsewhere. */
  constructor(brought: readonly SessionTicket[] = []) {
    this.#brought = brought
  }

  /** undefined: nothing was seen or written yet. */
  of(source: Ticketed): SessionTicket | undefined {
    const own = this.#tickets?.get(source)
    if (own !== undefined || this.#brought.length === 0) return own
    // It may be one of those that the session has seen, and begun anew since.
    return this.#brought.find(({ epoch }) => epoch === source.epoch) ?? UNKNOWN_TICKET
  }

  /** `called`: the ticket as the call began that was answered with `answered`. */
  saw(source: Ticketed, called: SessionTicket | undefined, answered: SessionTicket): void {
    const ticket = mergeTickets(this.of(source), called, answered)
    this.#tickets ??= new Map()
    this.#tickets.set(source, ticket)
  }

  /** What the session takes along, one for each epoch. */
  all(): SessionTicket[] {
    const latest = new Map<bigint, SessionTicket>()
    for (const ticket of [...this.#brought, ...(this.#tickets?.values() ?? [])]) {
      const other = latest.get(ticket.epoch)
      if (other === undefined || other.position < ticket.position) latest.set(ticket.epoch, ticket)
    }
    return [...latest.values()]
  }
}
