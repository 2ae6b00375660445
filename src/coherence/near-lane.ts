// Near lanes: what a near cache knows of a lane of the tier, and what it may hold on the strength of that. A near lane is
// the lane as of the last message: all that the lane reflected then, the entries held of it reflect too, and so a proof of
// the near lane is one of its entries.
//
// A near lane begins unknown, and nothing is held of it. It becomes known by a message, or by the lane's header if that is
// read after the subscription stands; unknown again when messages may have been lost. A header that is older than what
// the first message continues from does no harm: that message does not continue it, and the lane begins anew with it.
// Not for: where entries are kept (cache/), how messages travel (tier/).
import { generationsEqual } from './generation.ts'
import type { LaneState } from './lane.ts'
import { compareMarks } from './mark.ts'
import { reflectsChange, type LaneMessage } from './operations.ts'
import type { ChangeEvent, Stamp } from './stamp.ts'

/** undefined: unknown. */
export type NearLane = LaneState | undefined

export interface NearStep {
  readonly lane: LaneState
  /** False: something in between is missing, and whatever is held of the lane leaves. */
  readonly continues: boolean
}

/** The near lane after a message. When it continues, the message's events and voids still say which entries leave. */
export function receive(near: NearLane, message: LaneMessage): NearStep {
  const { generation, sequence, mark } = message
  return { lane: { generation, sequence, mark }, continues: near !== undefined && continuesLane(near, message) }
}

function continuesLane(near: LaneState, message: LaneMessage): boolean {
  if (!generationsEqual(message.generation, near.generation)) return false
  if (message.sequence !== near.sequence + 1) return false
  if (compareMarks(message.prev, near.mark) !== 0) return false
  return true
}

/** Whether an entry with this stamp outlives a message that continues its lane and tells of a change of its key. */
export function staysNear(stamp: Stamp, event: ChangeEvent): boolean {
  return reflectsChange(stamp, event)
}

/**
 * Whether what was read from the tier, together with the lane as it was then, may be held under the near lane. Not when the
 * near lane is ahead of it: a message that has passed already may have been about it (the read was slow, or a failover has
 * taken the lane back).
 */
export function mayEnter(near: NearLane, laneAsRead: LaneState): boolean {
  if (near === undefined) return false
  if (!generationsEqual(near.generation, laneAsRead.generation)) return false
  if (compareMarks(near.mark, laneAsRead.mark) > 0) return false
  return true
}

/** The near lane once the lane's header has been read, after the subscription stood: messages know better. */
export function initialise(near: NearLane, header: LaneState | undefined): NearLane {
  return near ?? header
}
