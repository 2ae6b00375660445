// The product with one guard taken out at a time: each is a change of its source text, made as the module is loaded, for
// the simulator to show that it would notice. A pattern that does not occur exactly once fails loudly: then the product
// has changed, and so must this. Not for: what each guard is for (docs/internals/coherence.md).
import { valueKinds } from './logless-plan.ts'
import type { Focus } from './plan.ts'
import { behindKinds, oldKinds } from './service-plan.ts'

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
  /** From seed 1 on, the simulator finds it within so many; undefined: what goes wrong is too rare, the schedules find it. */
  readonly seeds: number | undefined
  /** The named schedules that were written for it, and fail without the guard. */
  readonly schedules: readonly string[]
}

const operations = 'coherence/operations.ts'
const lane = 'coherence/lane.ts'
const near = 'coherence/near-lane.ts'

/** The library's own path is what is looked at. */
const everyNodeALibrary: Focus = {
  library: { kinds: ['library peek', 'library get'], steps: 300 },
  config: { library: { nodes: [true, true, true] } },
}

/** One process, or several side by side, each with its lanes in its own memory. */
const everyNodeAlone: Focus = { alone: true, library: { kinds: ['library peek', 'library get'], steps: 100 } }

/** As `everyNodeAlone`, and rows are old soon, and answered for long after that. */
const everyRowOld: Focus = {
  alone: true,
  clients: ['patient read', 'session read', 'session write', 'write'],
  config: {
    nearEntries: 1_000,
    library: { old: { ttlMs: 50, swrMs: 1_500, staleIfErrorMs: 3_000, softTimeoutMs: 5 } },
  },
}

/** As `everyNodeAlone`, and what is looked at are values of functions that are old soon. */
const everyValueOld: Focus = {
  alone: true,
  clientSteps: 10,
  service: { kinds: oldKinds, steps: 400 },
  config: { service: { oldKeys: 1, old: { ttlMs: 50, swrMs: 1_500, staleIfErrorMs: 3_000, softTimeoutMs: 5 } } },
}

/** Values that the cache alone has, in processes with the library in them, over lanes that they share. */
const everyValueShared: Focus = {
  clientSteps: 10,
  statementSteps: 5,
  faults: [],
  faultSteps: 0,
  logless: { library: true, steps: 100, valueKinds, valueSteps: 400 },
  config: { logless: { keys: 1, lanes: 1 }, nearEntries: 1_000, mixedFormats: false },
}

/** As `everyValueShared`, and the keyspace is given up again and again. */
const everyValueCleared: Focus = {
  ...everyValueShared,
  logless: { library: true, steps: 10, valueKinds: ['value clear'], valueSteps: 600 },
}

/** As `everyNodeAlone`, and what is looked at is written behind. */
const everyWriteBehind: Focus = {
  alone: true,
  clientSteps: 10,
  service: { kinds: behindKinds, steps: 400 },
  faults: ['node dies', 'database stops'],
  faultSteps: 8,
  config: {
    service: {
      behindKeys: 1,
      behind: { maxDelayMs: 10, batch: 2, maxPending: 10, retryMs: 5, ttlMs: 30 },
      store: { delayMs: 5, slowOneIn: 4, slowMs: 30, failsOneIn: 3, loadsFailOneIn: 8 },
      disk: { delayMs: 2, slowOneIn: 10, slowMs: 20, powerOneIn: 1, failsOneIn: 0 },
    },
  },
}

function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace }
}

export const mutations: Readonly<Record<string, Mutation>> = {
  'visibility gate': {
    patches: [patch('coherence/gate.ts', "while (visible < log.length && snapshotSees(exact, log[visible]!.xid) === 'yes') visible++", 'while (visible < log.length) visible++')], // prettier-ignore
    seeds: 20,
    schedules: [
      'a load that had too many transactions to tell apart is not kept by one that it may not have seen',
      'a commit that waits for its standby while a fill runs: what is not visible yet is not applied',
    ],
  },
  'gate of the first mark': {
    patches: [patch('cache/tide-term.ts', 'if (!this.#settled) return undefined', '')],
    focus: {
      statements: ['update'],
      faults: ['slot is lost'],
      faultSteps: 12,
      config: { plainKeys: 1, postgres: { slowVisibleOneIn: 2, visibleAfterMs: 5 } },
    },
    seeds: 100,
    schedules: ['a first mark waits until all that was committed before it is visible'],
  },
  'heartbeat before a first mark': {
    patches: [patch('cache/tide-term.ts', 'if (this.#hasBeaten) return this.memory.end', 'return this.memory.end')],
    focus: {
      statements: ['update'],
      faults: ['database is isolated'],
      faultSteps: 4,
      config: { tides: 1, postgres: { synchronousStandby: true } },
    },
    seeds: 100,
    schedules: [
      'a log that is begun anew on a primary that was replaced makes nothing fresh: it commits nothing any more',
    ],
  },
  'compare-and-set of marks': {
    patches: [patch(operations, '|| compareMarks(prev, header.mark) !== 0) {', ') {')],
    focus: {
      faults: ['primary is isolated', 'primary is replaced while it stops', 'node stops'],
      faultSteps: 8,
      config: { cluster: { lanes: 1, shardIs: 'shard' } },
    },
    seeds: 20,
    schedules: [
      'two tides: what the one that was put out still does fails its comparison',
      'a tide that does not know of a failover does not advance a mark that was taken back',
    ],
  },
  'token of a lease': {
    patches: [patch(operations, 'if (own?.token !== request.token)', 'if (own === undefined)')], // prettier-ignore
    seeds: 500,
    schedules: ['a fill is refused once its lease has expired and another has the key'],
  },
  'generation of a lease': {
    patches: [patch(operations, "if (!generationsEqual(own.generation, generation)) return unchanged('refused')", '')],
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
    seeds: 100,
    schedules: ['a lease from before the slot was lost fills nothing after it'],
  },
  'epoch of a load': {
    patches: [patch(operations, 'if (request.stamp.epoch !== generation.epoch)', 'if (false)')],
    focus: {
      statements: ['update'],
      faults: ['database is isolated'],
      faultSteps: 4,
      config: { plainKeys: 1, postgres: { synchronousStandby: true }, source: { connections: 3 } },
    },
    seeds: 100,
    schedules: ['a load that the old primary still answers does not fill a lane of the new one'],
  },
  'epoch of a put': {
    patches: [
      patch(
        operations,
        "if (stamp.epoch !== generation.epoch) return unchanged('other-epoch')\n  if (record?.type === 'fence'",
        "if (record?.type === 'fence'",
      ),
    ],
    focus: {
      clients: ['write', 'read'],
      statements: ['update'],
      faults: ['database fails over', 'network is cut one way'],
      faultSteps: 8,
      config: { postgres: { synchronousStandby: false, standbyLagMs: 40 } },
    },
    seeds: undefined,
    schedules: ['a put of a write that the database has lost is not taken'],
  },
  'compare-and-set of a reset': {
    patches: [
      patch(operations, "if (!asExpected) return { outcome: 'mismatch', header: 'keep', message: undefined }", ''),
    ],
    seeds: undefined,
    schedules: ['a reset that comes late, from a tide that was put out, fails its comparison'],
  },
  'voiding of leases': {
    patches: [patch(operations, "if (record.type === 'lease' || !generationsEqual(record.generation, header.generation)) return 'remove'", "if (record.type === 'lease') return 'keep'")], // prettier-ignore
    seeds: 250,
    schedules: [
      'an old load that is paused across an invalidation is not filled',
      'a fill that is held up across an invalidation is refused',
      'a session that has seen more than a load that was slower is not answered by that',
    ],
  },
  'mark test of a put': {
    patches: [patch(operations, 'if (!putIsInTime(header, key, stamp)) {', 'if (false) {')],
    seeds: 100,
    schedules: [
      'a put that comes after a later write and its event is late',
      'a put that comes after its own transaction was applied, which had changed the row again, is late',
      'a put is late where the recent changes do not reach back to it',
    ],
  },
  'recent changes': {
    patches: [patch(lane, 'if (change.keyHash !== hash || change.lsn <= at) continue', 'continue')],
    seeds: 100,
    schedules: [
      'a put that comes after a later write and its event is late',
      'a put that comes after its own transaction was applied, which had changed the row again, is late',
      'a writer that dies with its put on the way brings no old row back',
    ],
  },
  'reach of the recent changes': {
    patches: [patch(lane, 'if (recent.completeFrom > at) return false', '')],
    seeds: 500,
    schedules: ['a put is late where the recent changes do not reach back to it'],
  },
  "a put's own later change": {
    patches: [patch(lane, 'if (change.xid !== xid || change.change >= at) return false', 'if (change.xid !== xid) return false')], // prettier-ignore
    focus: { clients: ['write', 'write several'], config: { source: { hiddenTriggerOneIn: 2 } } },
    seeds: 100,
    schedules: ['a put that comes after its own transaction was applied, which had changed the row again, is late'],
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
    seeds: 100,
    schedules: [],
  },
  'sub-position of an apply': {
    patches: [patch(operations, '|| compareMarks(prev, header.mark) !== 0) {', '|| prev.lsn !== header.mark.lsn) {')],
    focus: {
      clients: ['read'],
      clientSteps: 300,
      statements: ['copy'],
      statementSteps: 5,
      faults: ['primary is isolated', 'primary is replaced while it stops'],
      faultSteps: 6,
      config: {
        plainKeys: 40,
        nearEntries: 1,
        network: { delayMs: 3, slowOneIn: 0 },
        cluster: { lanes: 1, shardIs: 'shard' },
        limits: { tideApplyChangesMax: 1 },
      },
    },
    seeds: 250,
    schedules: [
      'a tide that is in the middle of a transaction, and is sent to a primary that is not as far, loses none of it',
    ],
  },
  'last change of an event': {
    patches: [patch(operations, '(stamp.xid === event.xid && event.change < stamp.at)', 'stamp.xid === event.xid')],
    seeds: 20,
    schedules: [
      'a row that its transaction changes again is not kept by the transaction alone',
      "a put that comes between two parts of its own transaction does not bring the first one's row back",
    ],
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
    seeds: 100,
    schedules: ['a transaction id that comes again after a crash does not vouch for a load that saw its first bearer'],
  },
  'doubt of a snapshot': {
    patches: [patch('coherence/stamp.ts', "if (!snapshot.exact) return 'maybe'", "if (!snapshot.exact) return 'yes'")],
    seeds: 250,
    schedules: [
      'a load that had too many transactions to tell apart is not kept by one that it may not have seen',
      'a commit that waits for its standby while a fill runs: what is not visible yet is not applied',
    ],
  },
  'shard of a header': {
    patches: [
      patch(lane, 'return header !== undefined && header.shard === shard ? header : undefined', 'return header'),
    ],
    focus: {
      clients: ['read', 'write'],
      statements: ['update'],
      faults: ['lane migrates', 'primary dies'],
      faultSteps: 10,
      config: { plainKeys: 8, cluster: { lanes: 2, shards: 2, shardIs: 'shard' } },
    },
    seeds: 1_000,
    schedules: [
      'a lane that migrates while changes come is behind for as long, and begins anew at its target',
      'a record that a migration has left behind does not come back with the header',
    ],
  },
  'session: stamp': {
    patches: [patch('coherence/session.ts', 'return stamp.epoch === ticket.epoch && reflectedUpTo(stamp) >= ticket.position', 'return true')], // prettier-ignore
    seeds: 100,
    schedules: [
      'a session never goes back, wherever its user is answered',
      'a session that has seen more than a load that was slower is not answered by that',
      'a session that was answered by the database is not answered by older memory after a failover of the tier',
    ],
  },
  'session: what was brought along': {
    patches: [
      patch(
        'cache/session-tickets.ts',
        'if (own !== undefined || this.#brought.length === 0) return own',
        'return own',
      ),
    ],
    focus: {
      clients: ['session read', 'session write'],
      faults: ['network is cut', 'node stops'],
      faultSteps: 6,
      config: { plainKeys: 1, triggeredKeys: 0, tides: 1, maxStalenessMs: 5_000 },
    },
    seeds: 20,
    schedules: [],
  },
  'session: what a load vouches for': {
    patches: [patch('coherence/session.ts', "return stamp.kind === 'write' ? stamp.at : stamp.lsn", "return stamp.kind === 'write' ? stamp.at : stamp.upto")], // prettier-ignore
    focus: {
      clients: ['session read', 'session write'],
      faults: ['network is cut', 'node stops'],
      faultSteps: 6,
      config: { plainKeys: 1, triggeredKeys: 0, tides: 1, maxStalenessMs: 5_000, source: { slowOneIn: 2, slowMs: 30 } },
    },
    seeds: 100,
    schedules: [],
  },
  'near rule': {
    patches: [patch(near, 'if (compareMarks(near.mark, laneAsRead.mark) > 0) return false', '')],
    focus: {
      faults: ['primary is isolated', 'primary is replaced while it stops'],
      faultSteps: 5,
      config: { plainKeys: 3, cluster: { lanes: 1, shardIs: 'shard' } },
    },
    seeds: 250,
    schedules: ['a failover that takes the lane back does not let old records under a newer near mark'],
  },
  'near rule and generation, and tickets': {
    patches: [
      patch(near, 'if (compareMarks(near.mark, laneAsRead.mark) > 0) return false', ''),
      patch(near, 'if (!generationsEqual(near.generation, laneAsRead.generation)) return false', ''),
      patch('cache/map-near.ts', 'if (entry.ticket !== this.begin(key)) return false', ''),
      patch('cache/object-near.ts', 'if (entry.ticket !== this.begin(key)) return false', ''),
    ],
    seeds: 250,
    schedules: ['one transaction that changes very many rows is applied in parts, and nothing in between is wrong'],
  },
  'chain of messages': {
    patches: [
      patch(near, 'if (message.sequence !== near.sequence + 1) return false', ''),
      patch(near, 'if (compareMarks(message.prev, near.mark) !== 0) return false', ''),
    ],
    seeds: 250,
    schedules: [
      'messages to near caches that are lost lead to nothing old',
      'messages to near caches that are in another order lead to nothing old',
    ],
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
    seeds: 500,
    schedules: ['an old primary whose log stands still where the marks do proves nothing'],
  },
  'epoch of a sample': {
    patches: [patch('coherence/freshness.ts', '|| sample.epoch !== lane.generation.epoch) continue', ') continue')],
    focus: { statements: ['update'], faults: ['database fails over'], faultSteps: 6 },
    seeds: 250,
    schedules: [
      'the database fails over and loses transactions',
      'a node whose keyspaces are laid out otherwise proves nothing of the lanes of others',
    ],
  },
  'generation on epoch change': {
    patches: [patch('cache/lane-worker.ts', "if (state.generation.epoch !== start.epoch) return 'it is of another epoch of the database'", '')], // prettier-ignore
    seeds: 250,
    schedules: ['positions and transactions come again after a crash that forgot commits which others had seen'],
  },
  'timeline in the epoch': {
    patches: [patch('coherence/epoch.ts', 'JSON.stringify([LAYOUT, systemId, timeline, run,', 'JSON.stringify([LAYOUT, systemId, run,')], // prettier-ignore
    focus: {
      statements: ['update'],
      faults: ['database fails over'],
      faultSteps: 6,
      config: { asynchronousCommits: false, postgres: { runIsKnown: false }, source: { asynchronous: false } },
    },
    seeds: 250,
    schedules: [
      'the database fails over and loses transactions',
      'the database fails over and loses transactions, and the old primary goes on answering',
    ],
  },
  'run in the epoch': {
    patches: [patch('coherence/epoch.ts', 'JSON.stringify([LAYOUT, systemId, timeline, run,', 'JSON.stringify([LAYOUT, systemId, timeline,')], // prettier-ignore
    focus: {
      statements: ['update'],
      faults: ['database crashes'],
      faultSteps: 6,
      config: {
        asynchronousCommits: true,
        postgres: { synchronousStandby: false, runIsKnown: true, walWriterMs: 200 },
        source: { asynchronous: true },
      },
    },
    seeds: 100,
    schedules: ['positions and transactions come again after a crash that forgot commits which others had seen'],
  },
  'retention before confirming': {
    patches: [patch('cache/tide-retention.ts', 'if (nowMs - oldest.atMs < limits.tideRetentionMs) break', '')],
    seeds: 20,
    schedules: ['what a failover takes back within the retention is applied again, without beginning anew'],
  },
  'what is confirmed of the log': {
    patches: [
      patch('cache/lane-worker.ts', "if (state.mark.lsn < start.confirmed) return 'its mark is before what is confirmed of the log'", ''), // prettier-ignore
      patch('cache/tide-term.ts', 'from === undefined || from < confirmed ? confirmed : from', 'from ?? confirmed'),
    ],
    seeds: 500,
    schedules: [
      'a log that goes on later than it was asked for, silently, begins the lanes that need more anew',
      'a cold start over entries of long ago serves none of them',
    ],
  },
  'resets of the log': {
    patches: [patch('cache/lane-worker.ts', 'if (memory.reset !== undefined && state.mark.lsn < memory.reset.at) return memory.reset.reason', '')], // prettier-ignore
    seeds: 20,
    schedules: [
      'TRUNCATE from outside is seen in every near cache',
      'TRUNCATE, or a table that is rewritten, of which the log names no rows, begins every lane anew',
    ],
  },
  'suspended machines': {
    patches: [patch('cache/suspend-watch.ts', 'if (Math.abs(wallMs - monotonicMs - this.#apartMs) <= limits.clockJumpMs) return false', 'return false')], // prettier-ignore
    seeds: 100,
    schedules: ['a suspended machine does not take what it had for fresh'],
  },
  'a log of another history': {
    patches: [
      patch('cache/tide-term.ts', 'this.#isElsewhere = !settled && first > confirmed', 'this.#isElsewhere = false'),
    ],
    focus: {
      clients: ['read'],
      statements: ['copy', 'update'],
      faults: ['database fails over'],
      faultSteps: 5,
      config: {
        plainKeys: 5,
        nearEntries: 1_000,
        maxStalenessMs: 1_500,
        postgres: { synchronousStandby: false, standbyLagMs: 100 },
        limits: { sampleEveryMs: 250, sampleTimeoutMs: 300 },
      },
    },
    seeds: 250,
    schedules: ['a log is not read from where lanes of another history are'],
  },
  'loads that are shared': {
    patches: [
      patch(
        'cache/reader.ts',
        'if (loaded.asOfMs > call.calledMs) return loadedAnswer(call, loaded)',
        'return loadedAnswer(call, loaded)',
      ),
    ],
    seeds: 150,
    schedules: [],
  },
  'lease of a load that is shared': {
    patches: [
      patch('cache/reader.ts', 'if (flight?.token === record.token) return', 'if (flight !== undefined) return'),
    ],
    focus: {
      clients: ['read'],
      statements: ['update'],
      config: { plainKeys: 1, triggeredKeys: 0, nearEntries: 1, source: { slowOneIn: 2, slowMs: 150 } },
    },
    seeds: 100,
    schedules: ['a read that takes a new lease along does not wait for a load under the lease of before'],
  },
  'a lease that lives': {
    patches: [patch(operations, 'if (record !== undefined && isLive(record, header, request.nowMs)) {', "if (record !== undefined && record.type !== 'lease' && isLive(record, header, request.nowMs)) {")], // prettier-ignore
    seeds: undefined,
    schedules: [
      'a key that is missed everywhere at once is one lease and one query',
      'of all readers of a key that is not there, in all processes, one asks the database',
    ],
  },
  'bound of an answer': {
    patches: [patch('coherence/freshness.ts', 'return asOf !== NO_PROOF && nowMs - asOf <= boundMs', 'return asOf !== NO_PROOF')], // prettier-ignore
    seeds: 20,
    schedules: [
      'an old primary whose log stands still where the marks do proves nothing',
      'a client that is stranded with an isolated primary sees its proofs age, and reads the database',
    ],
  },
  'lease while a fence stands': {
    patches: [patch(operations, 'if (record !== undefined && isLive(record, header, request.nowMs)) {', "if (record !== undefined && record.type !== 'fence' && isLive(record, header, request.nowMs)) {")], // prettier-ignore
    focus: {
      logless: { kinds: ['logless write', 'logless read'], steps: 300 },
      clientSteps: 1,
      faults: [],
      config: {
        nearEntries: 1,
        mixedFormats: false,
        network: { slowOneIn: 0 },
        logless: { keys: 25, lanes: 1, ttlMs: 600, store: { delayMs: 1, slowOneIn: 3, slowMs: 900, failsOneIn: 0 } },
        limits: { fenceMs: 1_300 },
      },
    },
    seeds: 100,
    schedules: [],
  },
  'fence of a write that is not known': {
    patches: [patch('cache/writer.ts', '      if (unknown) return\n', '')],
    focus: {
      logless: { kinds: ['logless write', 'logless read', 'logless read', 'logless read'], steps: 100 },
      faults: [],
      config: {
        mixedFormats: false,
        logless: { keys: 3, lanes: 1, ttlMs: 600, store: { delayMs: 1, slowOneIn: 2, slowMs: 700, failsOneIn: 0 } },
        limits: { fenceMs: 1_300 },
      },
    },
    seeds: 100,
    schedules: [],
  },
  'put without its fence': {
    patches: [patch(operations, "if (!own) return { outcome: 'voided', record: 'remove', ...published }", "if (!own) return { outcome: 'voided', record: 'keep', ...published }")], // prettier-ignore
    seeds: 100,
    schedules: [],
  },
  'voiding of renewals': {
    patches: [
      patch(operations, '  _record: RecordHead | undefined,\n  request: BeginRequest', '  record: RecordHead | undefined,\n  request: BeginRequest'), // prettier-ignore
      patch(operations, "const fence = { type: 'fence', generation: header.generation, id, untilMs }", "const fence = { type: 'fence', generation: header.generation, id, untilMs, renewal: record?.renewal }"), // prettier-ignore
      patch(operations, "'voided', record: 'remove', ...published }\n  return { outcome: 'stored', record: { type: 'value', generation, stamp }", "'voided', record: 'remove', ...published }\n  return { outcome: 'stored', record: { type: 'value', generation, stamp, renewal: record.renewal }"), // prettier-ignore
    ],
    focus: {
      logless: { kinds: ['logless write', 'logless read', 'logless read'], steps: 200 },
      faults: [],
      config: {
        mixedFormats: false,
        logless: { keys: 2, lanes: 1, ttlMs: 1_500, renewOneIn: 2, store: { delayMs: 1, slowOneIn: 3, slowMs: 100, failsOneIn: 0 } }, // prettier-ignore
      },
    },
    seeds: 20,
    schedules: [],
  },
  'fence that comes up late': {
    patches: [patch('cache/writer.ts', "if (outcome === 'fenced') fences.set(key, id)", 'fences.set(key, id)')],
    focus: {
      logless: { kinds: ['logless write'], steps: 120 },
      clientSteps: 1,
      faults: ['network is cut one way'],
      faultSteps: 10,
      config: {
        logless: { keys: 1, lanes: 1, ttlMs: 1_500, store: { delayMs: 1, slowOneIn: 3, slowMs: 200, failsOneIn: 0 } },
      },
    },
    seeds: 250,
    schedules: [],
  },
  'shard of a header, without a log': {
    patches: [
      patch(lane, 'return header !== undefined && header.shard === shard ? header : undefined', 'return header'),
    ],
    focus: {
      clients: ['read'],
      clientSteps: 1,
      logless: { kinds: ['logless write', 'logless read'], steps: 200 },
      faults: ['primary dies'],
      faultSteps: 6,
      config: { cluster: { shards: 1, shardIs: 'primary' }, logless: { keys: 2 } },
    },
    seeds: 100,
    schedules: [],
  },
  'tickets of near caches': {
    patches: [patch('cache/map-near.ts', 'if (entry.ticket !== this.begin(key)) return false', '')],
    focus: {
      logless: { kinds: ['logless write', 'logless read', 'logless read', 'logless read', 'logless read'], steps: 400 },
      faults: [],
      config: {
        nearEntries: 1_000,
        network: { delayMs: 0.5, slowOneIn: 5, slowMs: 60 },
        messages: { lostOneIn: 0, doubledOneIn: 0, swappedOneIn: 0 },
        logless: { keys: 2, ttlMs: 2_300, store: { delayMs: 0.2, slowOneIn: 0, slowMs: 0, failsOneIn: 0 } },
      },
    },
    seeds: 100,
    schedules: [],
  },
  'time to live from the load': {
    patches: [
      patch('cache/time-to-live.ts', 'ttlMs - this.age(stamp) : ttlMs', 'ttlMs : ttlMs'),
      patch(
        'cache/time-to-live.ts',
        'return this.age(stamp) >= (longestTtlOf(keyspace, payload) ?? Infinity)',
        'return false',
      ),
    ],
    seeds: 20,
    schedules: [],
  },
  'library: proof of a hit': {
    patches: [patch('near/room.ts', 'if (!(nowMs - this.asOfMsOf(meta) <= boundMs)) return false', '')],
    focus: { ...everyNodeALibrary, faults: ['node stops'], faultSteps: 8 },
    seeds: 20,
    schedules: [],
  },
  'library: time of a hit': {
    patches: [patch('library/proof-clock.ts', 'if (wallMs !== this.#times[WALL]) this.#read(wallMs)', 'if (Number.isNaN(this.#times[WALL])) this.#read(wallMs)')], // prettier-ignore
    focus: { ...everyNodeALibrary, faults: ['node stops'], faultSteps: 8 },
    seeds: 20,
    schedules: [],
  },
  'library: suspended machines': {
    patches: [
      patch('library/proof-clock.ts', 'return sinceMs < boundMs ? sinceMs : boundMs', 'return boundMs'), // prettier-ignore
      patch('library/proof-clock.ts', 'if (jumped) this.#onJump()', ''),
    ],
    focus: { ...everyNodeALibrary, faults: ['node is suspended'], faultSteps: 8 },
    seeds: 100,
    schedules: [],
  },
  'library: samples of before a suspension': {
    patches: [patch('library/proof-clock.ts', 'return sinceMs < boundMs ? sinceMs : boundMs', 'return boundMs')], // prettier-ignore
    focus: { ...everyNodeALibrary, faults: ['node is suspended'], faultSteps: 8 },
    seeds: 100,
    schedules: [],
  },
  'library: age of a load': {
    patches: [patch('library/keyspace.ts', 'return ageMs <= this.#proofClock.trustedMs(Infinity) ? ageMs : Infinity', 'return ageMs')], // prettier-ignore
    focus: { ...everyNodeALibrary, faults: ['node is suspended'], faultSteps: 8 },
    seeds: 100,
    schedules: [],
  },
  'library: lanes that are dropped': {
    patches: [patch('cache/object-near.ts', 'this.#places.pool.dropLane(this.#firstLane + lane)', '')],
    focus: { ...everyNodeALibrary, statements: ['update'] },
    seeds: 100,
    schedules: [],
  },
  'library: changes in memory': {
    patches: [patch('cache/object-near.ts', 'if (held === undefined || !staysNear(held.stamp, event)) this.#places.remove(event.key)', '')], // prettier-ignore
    seeds: 20,
    schedules: [],
  },
  'library: near rule and generation, and tickets': {
    patches: [
      patch(near, 'if (compareMarks(near.mark, laneAsRead.mark) > 0) return false', ''),
      patch(near, 'if (!generationsEqual(near.generation, laneAsRead.generation)) return false', ''),
      patch('cache/object-near.ts', 'if (entry.ticket !== this.begin(key)) return false', ''),
    ],
    focus: everyNodeALibrary,
    seeds: 500,
    schedules: [],
  },
  'alone: changes in its own lanes': {
    patches: [patch('tier/object-tier.ts', "if (record === undefined || coherence.applyToRecord(header, record, event) === 'remove') this.#remove(event.key)", '')], // prettier-ignore
    focus: everyNodeAlone,
    seeds: 20,
    schedules: [],
  },
  'alone: lanes that begin anew': {
    patches: [patch('tier/object-tier.ts', 'this.#places.pool.dropLane(this.#firstLane + lane)', '')],
    focus: {
      ...everyNodeAlone,
      statements: ['update'],
      faults: ['slot is lost', 'database fails over', 'node stops'],
      faultSteps: 8,
    },
    seeds: 100,
    schedules: [],
  },
  'old values: bound of the call': {
    patches: [patch('library/loading.ts', 'if (old === undefined || old.pastMs < 0 || old.ageMs > boundMs) return undefined', 'if (old === undefined || old.pastMs < 0) return undefined')], // prettier-ignore
    focus: { ...everyRowOld, faults: ['node stops', 'database stops'], faultSteps: 6 },
    seeds: 20,
    schedules: [],
  },
  'old values: sessions': {
    patches: [
      patch('library/loading.ts', 'if (session || (swrMs === 0 && staleIfErrorMs === 0)) return undefined', ''),
    ],
    focus: everyRowOld,
    seeds: 20,
    schedules: [],
  },
  'old values: suspended machines': {
    patches: [patch('library/old-values.ts', 'return latestMs - asOfMs <= this.#proofClock.trustedMs(Infinity) ? nowMs - asOfMs : Infinity', 'return nowMs - asOfMs + 0 * latestMs')], // prettier-ignore
    focus: { ...everyRowOld, faults: ['node is suspended'], faultSteps: 8 },
    seeds: 100,
    schedules: [],
  },
  'old values: marked as stale': {
    patches: [patch('library/loading.ts', "tier: 'near', stale: true }", "tier: 'near', stale: false }")],
    focus: everyValueOld,
    seeds: 20,
    schedules: [],
  },
  'times to live of suspended machines': {
    patches: [patch('near/room.ts', 'if (sleptMs > 0) this.hasten(sleptMs)', '')],
    focus: {
      ...everyValueOld,
      service: { kinds: ['old read', 'old get'], steps: 300 },
      faults: ['node is suspended'],
      faultSteps: 8,
      config: { service: { oldKeys: 1, old: { ttlMs: 400, swrMs: 0, staleIfErrorMs: 100, softTimeoutMs: 20 } } },
    },
    seeds: 100,
    schedules: [],
  },
  'behind: on the disk before it is acknowledged': {
    patches: [patch('journal/journal.ts', 'if (group.length > 0 || last || writer.frees(confirmed)) {', 'if (last || writer.frees(confirmed)) {')], // prettier-ignore
    focus: everyWriteBehind,
    seeds: 20,
    schedules: [],
  },
  'behind: the journal over the source': {
    patches: [
      patch('library/behind-source.ts', 'const before = ids.map(id => this.#journal.pending.get(id))', 'const before = ids.map((): Write | undefined => undefined)'), // prettier-ignore
      patch('library/behind-source.ts', 'const write = this.#journal.pending.get(id) ?? before[at]', 'const write = before[at]'), // prettier-ignore
    ],
    focus: everyWriteBehind,
    seeds: 20,
    schedules: [],
  },
  'behind: the latest of a key after a failure': {
    patches: [patch('journal/pending-writes.ts', 'const { write: latest, sequence } = state.waiting ?? write', 'const { write: latest, sequence } = write')], // prettier-ignore
    focus: everyWriteBehind,
    seeds: 20,
    schedules: [],
  },
  'behind: what the journal forgets': {
    patches: [patch('journal/pending-writes.ts', 'while (this.#confirmable < this.#added && !this.#outstanding.has(this.#confirmable + 1)) this.#confirmable++', 'this.#confirmable = this.#added')], // prettier-ignore
    focus: { ...everyWriteBehind, faults: ['node dies'], faultSteps: 20 },
    seeds: 250,
    schedules: [],
  },
  'library: compare-and-set of an update': {
    patches: [patch('source/json-source.ts', ": { kind: 'replace', row: next, expected: before }", ": { kind: 'replace', row: next }")], // prettier-ignore
    focus: { ...everyNodeALibrary, library: { kinds: ['library update'], steps: 100 } },
    seeds: 20,
    schedules: [],
  },
  'values: the end of an edition, heard of': {
    patches: [patch('library/editions.ts', 'this.#drop(followed)\n    // Of its own', '// Of its own')],
    focus: everyValueShared,
    seeds: 20,
    schedules: [],
  },
  'values: what comes while the edition is asked for': {
    patches: [patch('library/editions.ts', 'if (said === undefined || followed.turns !== turns) continue', 'if (said === undefined) continue')], // prettier-ignore
    focus: everyValueCleared,
    seeds: 500,
    schedules: [],
  },
  'values: editions of records': {
    patches: [patch('library/editions.ts', "return held !== undefined && followed.past.includes(edition) ? 'ended' : this.#standing(followed, edition)", "return 'current'")], // prettier-ignore
    focus: everyValueShared,
    seeds: 20,
    schedules: [],
  },
  'values: an edition that is put back': {
    patches: [patch('library/editions.ts', 'if (held !== undefined && !hasHeardAll(this.#parts.near.lane(followed.lane), lane)) {', 'if (held !== undefined && false as boolean) {')], // prettier-ignore
    focus: { ...everyValueCleared, faults: ['record is evicted'], faultSteps: 20 },
    seeds: 100,
    schedules: [],
  },
  'values: editions of what is near': {
    patches: [patch('library/editions.ts', 'return followed === undefined || followed.held === editionOf(stamp)', 'return true || (followed === undefined || followed.held === editionOf(stamp))')], // prettier-ignore
    focus: everyValueCleared,
    seeds: 250,
    schedules: [],
  },
  'values: loads of before a clear': {
    patches: [patch('library/tier-values.ts', 'engine.reader.giveUpLoads()', '')],
    focus: everyValueCleared,
    seeds: 20,
    schedules: [],
  },
  'values: generations of tags': {
    patches: [patch('library/payload-codecs.ts', 'if (tags?.some(({ generation }, at) => generation !== filed[at]!.generation) === true) return UNDECODABLE', '')], // prettier-ignore
    focus: everyValueShared,
    seeds: 20,
    schedules: [],
  },
  'values: builds of before a tag was given up': {
    patches: [patch('library/builds.ts', 'if (expected.outdated) await reader.giveUpLoad(key)', '')],
    focus: everyValueShared,
    seeds: 100,
    schedules: [],
  },
  'values: builds that are still waited for': {
    patches: [patch('library/built-values.ts', 'this.#builds.set(id, [...builds, build])', 'this.#builds.set(id, outdated ? [build] : [...builds, build])')], // prettier-ignore
    focus: everyValueShared,
    seeds: 250,
    schedules: [],
  },
  'values: bound of a call': {
    patches: [patch('library/keyspace.ts', 'return this.#held(id, reader, options)', 'return this.#held(id, reader)')],
    focus: everyValueShared,
    seeds: 20,
    schedules: [],
  },
  'values: values that cannot be filed': {
    patches: [patch('library/keyspace-writes.ts', 'return tokens === undefined ? { ttlMs: 0, filed: false }', 'return tokens === undefined ? { ttlMs, filed: false }')], // prettier-ignore
    focus: { ...everyValueShared, faults: ['network is cut', 'network is cut one way'], faultSteps: 10 },
    seeds: 250,
    schedules: [],
  },
}
