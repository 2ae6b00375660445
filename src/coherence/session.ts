// Sessions: a reader that never goes back. Its ticket says how far into the log reaches what it has seen or written; what
// it is answered from then on must reflect at least that much of the key.
//
// What a record proves is less than what it holds. A load reflects all up to the lane's mark at its lease, and perhaps
// more; so a session that was answered by it counts as having seen `upto`, a position read after the load, while the
// record vouches for the mark alone. Between the two, the answer comes from the database.
// Not for: how old an answer is (freshness.ts).
import type { LaneState } from './lane.ts'
import type { Position } from './mark.ts'
import type { Stamp } from './stamp.ts'

/** Of one source. Plain data: it may travel with a user's requests. */
export interface SessionTicket {
  /** Positions of different epochs do not compare: a ticket of another epoch is met by the database alone. */
  readonly epoch: bigint
  /** All that the session has seen or written was committed at or before it. */
  readonly position: Position
}

/** Whether a value under a lane, both as of one instant, surely reflects all changes of its key up to the ticket. */
export function meetsTicket(ticket: SessionTicket | undefined, lane: LaneState, stamp: Stamp): boolean {
  if (ticket === undefined) return true
  if (lane.generation.epoch !== ticket.epoch) return false
  if (lane.mark.lsn >= ticket.position) return true
  return stamp.epoch === ticket.epoch && reflectedUpTo(stamp) >= ticket.position
}

/**
 * Up to where a value surely reflects every commit to its key. A written row: `at` was read with the row's lock held, so
 * who changed it and committed before was seen, and nobody changed it until the commit.
 */
export function reflectedUpTo(stamp: Stamp): Position {
  return stamp.kind === 'write' ? stamp.at : stamp.lsn
}

/** The session's ticket after it was answered, or had written, with this stamp. */
export function ticketAfter(
  ticket: SessionTicket | undefined,
  seen: { readonly epoch: bigint; readonly upto: Position },
): SessionTicket {
  const { epoch, upto } = seen
  if (ticket === undefined || ticket.epoch !== epoch) return { epoch, position: upto }
  return ticket.position >= upto ? ticket : { epoch, position: upto }
}

/** Of no epoch: met by the database alone. */
export const UNKNOWN_TICKET: SessionTicket = { epoch: 0n, position: 0n }

/**
 * A session's ticket after one of several calls that overlap: `called` is what it had as that call began, `answered` what the
 * answer gave. Answers of two epochs do not say which came later; then the session asks the database once more.
 */
export function mergeTickets(
  now: SessionTicket | undefined,
  called: SessionTicket | undefined,
  answered: SessionTicket,
): SessionTicket {
  if (now?.epoch === answered.epoch) return now.position >= answered.position ? now : answered
  return now === called ? answered : UNKNOWN_TICKET
}

/** Tickets are texts to those who carry them: epoch and position, 16 hexadecimal digits each. */
export function formatTicket({ epoch, position }: SessionTicket): string {
  return `${epoch.toString(16).padStart(16, '0')}-${position.toString(16).padStart(16, '0')}`
}

export function parseTicket(text: string): SessionTicket | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})$/.exec(text)
  return match === null ? undefined : { epoch: BigInt(`0x${match[1]}`), position: BigInt(`0x${match[2]}`) }
}
