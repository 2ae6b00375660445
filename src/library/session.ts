// A session: whoever reads with it never sees anything older than what it has seen or written with it, whatever the bound.
// One for each user's request, or each user. It is of this process.
import { SessionTickets } from '../cache/session-tickets.ts'

export class Session {
  readonly tickets: SessionTickets = new SessionTickets()
}
