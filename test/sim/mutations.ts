// The product with one guard taken out at a time: each is a change of its source text, made as the module is loaded, for
// the simulator to show that it would notice. A pattern that does not occur exactly once fails loudly: then the product
// has changed, and so must this. Not for: what each guard is for (docs/internals/coherence.md).
import type { Focus } from './plan.ts'

export interface Patch {
  /** Below src/. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Mutation {
  readonly patches: readonly Patch[]
  /** What the seeds have in common, where the hole needs one kind of fault again and again. */
  readonly focus?: Focus
  /** From seed 1 on, the simulator finds it within so many. */
  readonly seeds: number
}

const operations = 'coherence/operations.ts'
const lane = 'coherence/lane.ts'
const near = 'coherence/near-lane.ts'

function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace }
}

export const mutations: Readonly<Record<string, Mutation>> = {
  'visibility gate': {
    patches: [patch('coherence/gate.ts', "while (visible < log.length && snapshotSees(exact, log[visible]!.xid) === 'yes') visible++", 'while (visible < log.length) visible++')], // prettier-ignore
    seeds: 0,
  },
  'gate of the first mark': {
    patches: [patch('cache/tide-term.ts', 'if (!this.#settled) return undefined', '')],
    seeds: 0,
  },
  'compare-and-set of marks': {
    patches: [patch(operations, '|| compareMarks(prev, header.mark) !== 0) {', ') {')],
    seeds: 0,
  },
  'token of a lease': {
    patches: [patch(operations, "if (record?.type !== 'lease' || record.token !== request.token)", "if (record?.type !== 'lease')")], // prettier-ignore
    seeds: 0,
  },
  'generation of a lease': {
    patches: [
      patch(operations, "if (!generationsEqual(record.generation, generation)) return unchanged('refused')", ''),
    ],
    focus: {
      statements: ['truncate', 'update'],
      faults: ['slot is lost'],
      faultSteps: 12,
      config: {
        plainKeys: 1,
        cluster: { lanes: 1 },
        source: { slowOneIn: 2, slowMs: 150 },
        limits: { leaseMs: 2_000 },
      },
    },
    seeds: 0,
  },
  'epoch of a load': {
    patches: [patch(operations, 'if (request.stamp.epoch !== generation.epoch)', 'if (false)')],
    focus: {
      statements: ['update'],
      faults: ['database is isolated'],
      faultSteps: 4,
      config: { plainKeys: 1, postgres: { synchronousStandby: true }, source: { connections: 3 } },
    },
    seeds: 0,
  },
  'voiding of leases': {
    patches: [patch(operations, "if (record.type === 'lease' || !generationsEqual(record.generation, header.generation)) return 'remove'", "if (record.type === 'lease') return 'keep'")], // prettier-ignore
    seeds: 0,
  },
  'mark test of a put': {
    patches: [patch(operations, 'if (!putIsInTime(header, key, stamp)) {', 'if (false) {')],
    seeds: 0,
  },
  'recent changes': {
    patches: [patch(lane, 'if (change.keyHash !== hash || change.lsn <= at) continue', 'continue')],
    seeds: 0,
  },
  'reach of the recent changes': {
    patches: [patch(lane, 'if (recent.completeFrom > at) return false', '')],
    seeds: 0,
  },
  "a put's own later change": {
    patches: [patch(lane, 'if (change.xid !== xid || change.change >= at) return false', 'if (change.xid !== xid) return false')], // prettier-ignore
    seeds: 0,
  },
  'sub-position of a put': {
    patches: [patch(operations, 'if (mark.sub !== 0n && stamp.at <= mark.sub) return false', '')],
    focus: {
      clients: ['write several'],
      config: {
        plainKeys: 8,
        cluster: { lanes: 1 },
        source: { hiddenTriggerOneIn: 1 },
        limits: { tideApplyChangesMax: 1 },
      },
    },
    seeds: 0,
  },
  'sub-position of an apply': {
    patches: [patch(operations, '|| compareMarks(prev, header.mark) !== 0) {', '|| prev.lsn !== header.mark.lsn) {')],
    focus: {
      clients: ['write'],
      statements: ['copy'],
      faults: ['primary is isolated', 'primary is replaced while it stops'],
      faultSteps: 8,
      config: {
        plainKeys: 40,
        network: { delayMs: 4 },
        cluster: { lanes: 1, shardIs: 'shard' },
        limits: { tideApplyChangesMax: 1 },
      },
    },
    seeds: 0,
  },
  'last change of an event': {
    patches: [patch(operations, '(stamp.xid === event.xid && event.change < stamp.at)', 'stamp.xid === event.xid')],
    seeds: 0,
  },
  'flushed position of a load': {
    patches: [patch(operations, "(snapshotSees(stamp.snapshot, event.xid) === 'yes' && event.lsn <= stamp.flush)", "snapshotSees(stamp.snapshot, event.xid) === 'yes'")], // prettier-ignore
    focus: {
      clients: ['read'],
      statements: ['abort', 'abort', 'abort', 'update'],
      faults: ['database crashes', 'record is evicted'],
      faultSteps: 20,
      config: {
        plainKeys: 1,
        triggeredKeys: 0,
        nearEntries: 1,
        maxStalenessMs: 2_000,
        asynchronousCommits: false,
        cluster: { lanes: 1 },
        postgres: { synchronousStandby: false, runIsKnown: false },
        source: { asynchronous: false, slowOneIn: 0 },
        limits: { tideHeartbeatMs: 150 },
      },
    },
    seeds: 0,
  },
  'doubt of a snapshot': {
    patches: [patch('coherence/stamp.ts', "if (!snapshot.exact) return 'maybe'", "if (!snapshot.exact) return 'yes'")],
    seeds: 0,
  },
  'shard of a header': {
    patches: [
      patch(lane, 'return header !== undefined && header.shard === shard ? header : undefined', 'return header'),
    ],
    focus: {
      clients: ['read', 'write'],
      statements: ['update'],
      faults: ['lane migrates', 'primary dies'],
      faultSteps: 12,
      config: { plainKeys: 8, cluster: { lanes: 1, shards: 2, shardIs: 'shard' } },
    },
    seeds: 0,
  },
  'session: stamp': {
    patches: [patch('coherence/session.ts', 'return stamp.epoch === ticket.epoch && reflectedUpTo(stamp) >= ticket.position', 'return true')], // prettier-ignore
    seeds: 0,
  },
  'session: what a load vouches for': {
    patches: [patch('coherence/session.ts', "return stamp.kind === 'write' ? stamp.at : stamp.lsn", "return stamp.kind === 'write' ? stamp.at : stamp.upto")], // prettier-ignore
    focus: {
      clients: ['session read', 'session write'],
      faults: ['network is cut', 'node stops'],
      faultSteps: 6,
      config: { plainKeys: 1, triggeredKeys: 0, tides: 1, maxStalenessMs: 5_000, source: { slowOneIn: 2, slowMs: 30 } },
    },
    seeds: 0,
  },
  'near rule': {
    patches: [patch(near, 'if (compareMarks(near.mark, laneAsRead.mark) > 0) return false', '')],
    focus: {
      faults: ['primary is isolated', 'primary is replaced while it stops'],
      faultSteps: 5,
      config: { plainKeys: 3, cluster: { lanes: 1, shardIs: 'shard' } },
    },
    seeds: 0,
  },
  'near rule and generation, and tickets': {
    patches: [
      patch(near, 'if (compareMarks(near.mark, laneAsRead.mark) > 0) return false', ''),
      patch(near, 'if (!generationsEqual(near.generation, laneAsRead.generation)) return false', ''),
      patch('cache/map-near.ts', 'if (entry.ticket !== this.begin(key)) return false', ''),
    ],
    seeds: 0,
  },
  'chain of messages': {
    patches: [
      patch(near, 'if (message.sequence !== near.sequence + 1) return false', ''),
      patch(near, 'if (compareMarks(message.prev, near.mark) !== 0) return false', ''),
    ],
    seeds: 0,
  },
  'strictness of the proof': {
    patches: [patch('coherence/freshness.ts', 'if (sample.position < lane.mark.lsn) latest', 'if (sample.position <= lane.mark.lsn) latest')], // prettier-ignore
    focus: {
      clients: ['read', 'patient read'],
      statements: ['update'],
      faults: ['database is isolated', 'node dies', 'node stops'],
      faultSteps: 5,
      config: { tides: 1, postgres: { synchronousStandby: true } },
    },
    seeds: 0,
  },
  'epoch of a sample': {
    patches: [patch('coherence/freshness.ts', '|| sample.epoch !== lane.generation.epoch) continue', ') continue')],
    seeds: 0,
  },
  'generation on epoch change': {
    patches: [patch('cache/lane-worker.ts', "if (state.generation.epoch !== start.epoch) return 'it is of another epoch of the database'", '')], // prettier-ignore
    seeds: 0,
  },
  'timeline in the epoch': {
    patches: [patch('coherence/epoch.ts', 'JSON.stringify([LAYOUT, systemId, timeline, run,', 'JSON.stringify([LAYOUT, systemId, run,')], // prettier-ignore
    seeds: 0,
  },
  'run in the epoch': {
    patches: [patch('coherence/epoch.ts', 'JSON.stringify([LAYOUT, systemId, timeline, run,', 'JSON.stringify([LAYOUT, systemId, timeline,')], // prettier-ignore
    seeds: 0,
  },
  'retention before confirming': {
    patches: [patch('cache/tide-retention.ts', 'if (nowMs - oldest.atMs < limits.tideRetentionMs) break', '')],
    seeds: 0,
  },
  'what is confirmed of the log': {
    patches: [
      patch('cache/lane-worker.ts', "if (state.mark.lsn < start.confirmed) return 'its mark is before what is confirmed of the log'", ''), // prettier-ignore
      patch('cache/tide-term.ts', 'from === undefined || from < confirmed ? confirmed : from', 'from ?? confirmed'),
    ],
    seeds: 0,
  },
  'resets of the log': {
    patches: [patch('cache/lane-worker.ts', 'if (memory.reset !== undefined && state.mark.lsn < memory.reset.at) return memory.reset.reason', '')], // prettier-ignore
    seeds: 0,
  },
  'suspended machines': {
    patches: [patch('cache/suspend-watch.ts', 'if (Math.abs(wallMs - monotonicMs - this.#apartMs) <= limits.clockJumpMs) return false', 'return false')], // prettier-ignore
    seeds: 0,
  },
  'a log of another history': {
    patches: [
      patch('cache/tide-term.ts', 'this.#isElsewhere = !settled && first > confirmed', 'this.#isElsewhere = false'),
    ],
    focus: { faults: ['database fails over'], faultSteps: 6 },
    seeds: 0,
  },
  'bound of an answer': {
    patches: [patch('coherence/freshness.ts', 'return asOf !== NO_PROOF && nowMs - asOf <= boundMs', 'return asOf !== NO_PROOF')], // prettier-ignore
    seeds: 0,
  },
}
