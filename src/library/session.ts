// A session: whoever reads with it never sees anything older than what it has seen or written with it, whatever the bound.
// One for each user's request, or each user. What it knows may travel: `toJSON`, and `tide.session(json)` elsewhere.
import { SessionTickets } from '../cache/session-tickets.ts'

export class Session {
  readonly tickets: SessionTickets = new SessionTickets()
}
