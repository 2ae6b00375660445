// The protocol with one guard taken out at a time, for the worlds to show that each of them is needed. Here and only here:
// the product's functions have no switches.
import { compareMarks } from '../../src/coherence/mark.ts'
import * as coherence from '../../src/coherence/operations.ts'
import type { RecordHead } from '../../src/coherence/record.ts'
import type { Operations } from '../../src/testing/memory-tier.ts'
import type { Guards } from './world.ts'

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
function putOn(change: (header: NonNullable<Parameters<Operations['put']>[0]>) => object): Operations['put'] {
  return (header, record, request) => {
    if (header === undefined) return coherence.put(header, record, request)
    const decision = coherence.put({ ...header, ...change(header) }, record, request)
    if (decision.header === 'keep') return decision
    return { ...decision, header: { ...header, sequence: decision.header.sequence } }
  }
}

const putsOverAnyValue: Operations['put'] = (header, record, request) =>
  coherence.put(header, record?.type === 'value' ? undefined : record, request)

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

const appliesToAnyGeneration: Operations['applyToLane'] = (header, request) =>
  coherence.applyToLane(header, header === undefined ? request : { ...request, generation: header.generation })

const appliesChunksFromAnywhere: Operations['applyToLane'] = (header, request) => {
  const prev = { lsn: request.prev.lsn, sub: header?.mark.sub ?? 0n }
  return coherence.applyToLane(header, compareMarks(prev, request.next) < 0 ? { ...request, prev } : request)
}

/** What is taken out -> the world without it. */
export const mutations: Readonly<Record<string, Guards>> = {
  'the token of a fill': without({ fill: fillsAnything }),
  'the generation of a lease': without({ fill: fillsUnderOldLeases }),
  'the epoch of a load': without({ fill: fillsFromAnyEpoch }),
  'the epoch of a put': without({ put: putsFromAnyEpoch }),
  'the mark of a put': without({ put: putOn(() => ({ mark: { lsn: -1n, sub: 0n } })) }),
  'the sub-position of a put': without({ put: putOn(({ mark }) => ({ mark: { lsn: mark.lsn, sub: 0n } })) }),
  'the recent changes of a put': without({
    put: putOn(({ recent }) => ({ recent: { ...recent, changes: [] } })),
  }),
  'what a put finds': without({ put: putsOverAnyValue }),
  'the voiding of leases': without({ applyToRecord: keepsLeases }),
  'the last change of an event': without({ applyToRecord: keepsByTransactionAlone }),
  'the doubt of an inexact snapshot': without({ applyToRecord: keepsWhatMayHaveBeenSeen }),
  'the compare-and-set of apply': without({ applyToLane: appliesFromAnywhere }),
  'the generation of apply': without({ applyToLane: appliesToAnyGeneration }),
  'the sub-position of apply': without({ applyToLane: appliesChunksFromAnywhere }),
  'the gate': { ...allGuards, gate: false },
  'the gate of the first mark': { ...allGuards, firstMarkGate: false },
  'the look back of the feed': { ...allGuards, retention: false },
  'the epoch of a sample': { ...allGuards, sampleEpoch: false },
  'the strictness of the proof': { ...allGuards, strict: false },
}
