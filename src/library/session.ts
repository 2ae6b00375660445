// A session: whoever reads with it never sees anything older than what it has seen or written with it, whatever the bound.
// One for each user's request, or each user. It is of this process.
import { SessionTickets } from '../cache/session-tickets.ts'

export class Session {
  readonly tickets: SessionTickets = new SessionTickets()
}

/** One that was made, here or elsewhere, and not a word for one. */
export function isSession(session: unknown): session is Session {
  return typeof session === 'object' && session !== null && (session as Session).tickets instanceof SessionTickets
}
