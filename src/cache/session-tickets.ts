// How far into each database's log reaches what one connection has seen or written: its session.
// Not for: what a ticket asks of an answer (coherence/session.ts).
import { mergeTickets, type SessionTicket } from '../coherence/session.ts'

export class SessionTickets {
  /** Most connections need none. */
  #tickets: Map<object, SessionTicket> | undefined

  /** undefined: nothing was seen or written yet. */
  of(source: object): SessionTicket | undefined {
    return this.#tickets?.get(source)
  }

  /** `called`: the ticket as the call began that was answered with `answered`. */
  saw(source: object, called: SessionTicket | undefined, answered: SessionTicket): void {
    this.#tickets ??= new Map()
    this.#tickets.set(source, mergeTickets(this.#tickets.get(source), called, answered))
  }
}
