// A session: whoever reads with it never sees anything older than what it has seen or written with it, whatever the bound.
// One for each user's request, or each user. As a ticket, a text, it goes on in another process: with the user's next request.
import { SessionTickets } from '../cache/session-tickets.ts'
import { formatTicket, parseTicket, UNKNOWN_TICKET, type SessionTicket } from '../coherence/session.ts'
import { limits } from '../base/limits.ts'
import { invalid } from './option-checks.ts'

export class Session {
  readonly tickets: SessionTickets

  constructor(tickets: SessionTickets = new SessionTickets()) {
    this.tickets = tickets
  }

  /**
   * What the session has seen and written until now, for `tide.session(ticket)` in any process over the same databases; '' when
   * that is nothing. Letters, digits, '-' and '.'; 33 characters for each database. It tells nothing of any row, and is not signed.
   */
  ticket(): string {
    const all = this.tickets.all()
    // Of databases that are not named the session asks each time.
    const some =
      all.length > limits.sessionTicketsMax ? [...all.slice(1 - limits.sessionTicketsMax), UNKNOWN_TICKET] : all
    return some.map(formatTicket).join(SEPARATOR)
  }
}

const SEPARATOR = '.'

/** The session that gave the ticket. Throws OPTION_INVALID. */
export function sessionFrom(ticket: string): Session {
  if (typeof ticket !== 'string') throw notATicket(ticket)
  const parts = ticket === '' ? [] : ticket.split(SEPARATOR, limits.sessionTicketsMax + 1)
  const tickets = parts.map(parseTicket).filter((part): part is SessionTicket => part !== undefined)
  if (tickets.length < parts.length || parts.length > limits.sessionTicketsMax) throw notATicket(ticket)
  return new Session(new SessionTickets(tickets))
}

function notATicket(given: unknown): Error {
  return invalid('session', typeof given === 'string' ? given.slice(0, 80) : given, "what a session's ticket() gave")
}

/** One that was made, here or elsewhere, and not a word for one. */
export function isSession(session: unknown): session is Session {
  return typeof session === 'object' && session !== null && (session as Session).tickets instanceof SessionTickets
}
