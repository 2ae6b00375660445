// The session that a call of a keyspace belongs to, if any: what an answer for a key must reflect, and what it has seen after it.
// Not for: what a ticket asks of an answer (coherence/session.ts), what memory answers in a session (session-space.ts).
import type { SessionTickets } from '../cache/session-tickets.ts'
import type { SessionTicket } from '../coherence/session.ts'
import type { Source } from '../source/source.ts'

/** Values are as memory has them; that there is none is NONE (session-space.ts). */
export interface CallSession {
  /** undefined: anything will do. */
  of(id: string): SessionTicket | undefined
  /** `called`: what `of` gave as the call began that was answered so; `value`: undefined where it is not known. */
  saw(id: string, called: SessionTicket | undefined, answered: SessionTicket, value: unknown): void
  /** Whether the value is surely what was last seen of the key. */
  showsLatest(id: string, value: unknown): boolean
}

/** A session that its user made: one ticket for all keys of a source. */
export class SourceSession implements CallSession {
  readonly #tickets: SessionTickets
  readonly #source: Pick<Source<unknown>, 'epoch'>

  constructor(tickets: SessionTickets, source: Pick<Source<unknown>, 'epoch'>) {
    this.#tickets = tickets
    this.#source = source
  }

  of(): SessionTicket | undefined {
    return this.#tickets.of(this.#source)
  }

  saw(_id: string, called: SessionTicket | undefined, answered: SessionTicket): void {
    this.#tickets.saw(this.#source, called, answered)
  }

  // That one key is as it was last seen says nothing of what was seen of others since.
  showsLatest(): boolean {
    return false
  }
}
