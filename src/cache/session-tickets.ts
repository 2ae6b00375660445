// How far into each database's log reaches what one connection has seen or written: its session.
// Not for: what a ticket asks of an answer (coherence/session.ts).
import { ticketAfter, type SessionTicket } from '../coherence/session.ts'
import type { Source } from '../source/source.ts'

export class SessionTickets {
  /** Most connections need none. */
  #tickets: Map<Source, SessionTicket> | undefined

  /** undefined: nothing was seen or written yet. */
  of(source: Source): SessionTicket | undefined {
    return this.#tickets?.get(source)
  }

  saw(source: Source, { epoch, position }: SessionTicket): void {
    this.#tickets ??= new Map()
    this.#tickets.set(source, ticketAfter(this.#tickets.get(source), { epoch, upto: position }))
  }
}
