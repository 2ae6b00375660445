// The protocol with one guard taken out at a time, for the worlds to show that each of them is needed. Here and only here:
// the product's functions have no switches.
import type { LaneHeader } from '../../src/coherence/lane.ts'
import { compareMarks } from '../../src/coherence/mark.ts'
import * as coherence from '../../src/coherence/operations.ts'
import type { RecordHead } from '../../src/coherence/record.ts'
import type { Operations } from '../../src/testing/memory-tier.ts'
import type { Fault, Guards } from './world.ts'

export const allGuards: Guards = {
  operations: coherence,
  gate: true,
  firstMarkGate: true,
  retention: true,
  sampleEpoch: true,
  strict: true,
}

function without(operations: Partial<Operations>): Guards {
  return { ...allGuards, operations: { ...coherence, ...operations } }
}

const fillsAnything: Operations['fill'] = (header, record, request) => {
  if (header === undefined) return coherence.fill(header, record, request)
  const { generation } = header
  return coherence.fill(header, { type: 'lease', generation, token: request.token, untilMs: 0 }, request)
}

const fillsUnderOldLeases: Operations['fill'] = (header, record, request) => {
  const renewed = header !== undefined && record !== undefined ? { ...record, generation: header.generation } : record
  return coherence.fill(header, renewed, request)
}

const fillsFromAnyEpoch: Operations['fill'] = (header, record, request) => {
  const epoch = header?.generation.epoch ?? 0n
  return coherence.fill(header, record, { ...request, stamp: { ...request.stamp, epoch } })
}

const putsFromAnyEpoch: Operations['put'] = (header, record, request) => {
  const epoch = header?.generation.epoch ?? 0n
  return coherence.put(header, record, { ...request, stamp: { ...request.stamp, epoch } })
}

/** `put` on a header that is not quite the lane's: what becomes of the header is put right again. */
function putOn(change: (header: LaneHeader) => Partial<LaneHeader>): Operations['put'] {
  return (header, record, request) => {
    if (header === undefined) return coherence.put(header, record, request)
    const decision = coherence.put({ ...header, ...change(header) }, record, request)
    if (decision.header === 'keep') return decision
    return { ...decision, header: { ...header, sequence: decision.header.sequence } }
  }
}

const putsBeforeAnyMark = putOn(() => ({ mark: { lsn: -1n, sub: 0n } }))

const putsWithoutRecentChanges = putOn(({ recent }) => ({ recent: { ...recent, changes: [] } }))

const putsOverOwnLaterChanges = putOn(({ recent }) => {
  return { recent: { ...recent, changes: recent.changes.map(change => ({ ...change, change: -1n })) } }
})

const keepsLeases: Operations['applyToRecord'] = (header, record, event) =>
  record.type === 'lease' ? 'keep' : coherence.applyToRecord(header, record, event)

const keepsByTransactionAlone: Operations['applyToRecord'] = (header, record, event) =>
  coherence.applyToRecord(header, record, { ...event, change: -1n })

/** Counts what a load may have seen as seen. */
const keepsWhatMayHaveBeenSeen: Operations['applyToRecord'] = (header, record, event) =>
  coherence.applyToRecord(header, withExactSnapshot(record), event)

function withExactSnapshot(record: RecordHead): RecordHead {
  if (record.type !== 'value' || record.stamp.kind === 'write') return record
  return { ...record, stamp: { ...record.stamp, snapshot: { ...record.stamp.snapshot, exact: true } } }
}

const appliesFromAnywhere: Operations['applyToLane'] = (header, request) => {
  if (header === undefined || compareMarks(header.mark, request.next) >= 0)
    return coherence.applyToLane(header, request)
  if (request.events.some(event => event.lsn <= header.mark.lsn)) return coherence.applyToLane(header, request)
  return coherence.applyToLane(header, { ...request, prev: header.mark })
}

const appliesChunksFromAnywhere: Operations['applyToLane'] = (header, request) => {
  const prev = { lsn: request.prev.lsn, sub: header?.mark.sub ?? 0n }
  return coherence.applyToLane(header, compareMarks(prev, request.next) < 0 ? { ...request, prev } : request)
}

export interface Mutation {
  readonly guards: Guards
  /** What happens in this world; everything, unless the hole needs one kind of fault again and again. */
  readonly faults?: readonly Fault[]
  /** The first seed, from 1 on, that shows a stale proof. */
  readonly seeds: number
}

/**
 * What is taken out. Three guards are missing here and are in the contract suite instead: the sub-position of a put and
 * the generation of an apply need a coincidence that these worlds hardly ever give; and what a put finds (a newer value)
 * costs no proof but a writer's own reads, until the feed has caught up.
 */
export const mutations: Readonly<Record<string, Mutation>> = {
  'the token of a fill': { guards: without({ fill: fillsAnything }), seeds: 4 },
  'the generation of a lease': { guards: without({ fill: fillsUnderOldLeases }), faults: ['slot is lost'], seeds: 31 },
  'the epoch of a load': { guards: without({ fill: fillsFromAnyEpoch }), seeds: 4 },
  'the epoch of a put': { guards: without({ put: putsFromAnyEpoch }), seeds: 71 },
  'the mark of a put': { guards: without({ put: putsBeforeAnyMark }), seeds: 4 },
  'the recent changes of a put': { guards: without({ put: putsWithoutRecentChanges }), seeds: 43 },
  "a put's own later change": { guards: without({ put: putsOverOwnLaterChanges }), seeds: 61 },
  'the voiding of leases': { guards: without({ applyToRecord: keepsLeases }), seeds: 43 },
  'the last change of an event': { guards: without({ applyToRecord: keepsByTransactionAlone }), seeds: 5 },
  'the doubt of an inexact snapshot': { guards: without({ applyToRecord: keepsWhatMayHaveBeenSeen }), seeds: 140 },
  'the compare-and-set of apply': { guards: without({ applyToLane: appliesFromAnywhere }), seeds: 158 },
  'the sub-position of apply': {
    guards: without({ applyToLane: appliesChunksFromAnywhere }),
    faults: ['tier rolls back'],
    seeds: 215,
  },
  'the gate': { guards: { ...allGuards, gate: false }, seeds: 146 },
  'the gate of the first mark': { guards: { ...allGuards, firstMarkGate: false }, faults: ['slot is lost'], seeds: 85 },
  'the look back of the feed': { guards: { ...allGuards, retention: false }, seeds: 4 },
  'the epoch of a sample': { guards: { ...allGuards, sampleEpoch: false }, seeds: 26 },
  'the strictness of the proof': {
    guards: { ...allGuards, strict: false },
    faults: ['database fails over'],
    seeds: 14,
  },
}
