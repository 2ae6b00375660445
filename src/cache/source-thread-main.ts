// A database's own thread, from inside: the source, the tide, and a port for each thread that asks. Started by
// source-thread.ts; nothing imports it.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { systemClock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { SqliteSource } from '../source/sqlite-source.ts'
import { Store } from '../store/store.ts'
import { EmbeddedTier } from '../tier/embedded-tier.ts'
import { EMBEDDED_SHARD, LaneTable } from '../tier/lane-table.ts'
import { EmbeddedTide } from './embedded-tide.ts'
import { packOutcomes, packRows, type SourceReply, type SourceRequest } from './source-messages.ts'
import { lanesOf, type SourceStatus } from './source-status.ts'
import type { SourceThreadMessage, SourceThreadOptions, SourceThreadRequest } from './source-thread.ts'

assert(parentPort !== null, 'this file runs as a worker')
const parent: MessagePort = parentPort
const options = workerData as SourceThreadOptions

function tell(message: SourceThreadMessage): void {
  parent.postMessage(message)
}

function errorReply(id: number, error: unknown): SourceReply {
  const known = error instanceof TidemarkError ? error : new TidemarkError('SOURCE_FAILED', messageOf(error))
  return { id, kind: 'failed', error: known.toJSON() }
}

interface Resets {
  count: number
  last: SourceStatus['lastReset']
}

async function statusOf(source: SqliteSource, table: LaneTable, resets: Resets): Promise<SourceStatus> {
  const { position, epoch } = await source.position()
  const { name, firstLane, lanes: count } = options
  const lanes = lanesOf(table, firstLane, count, systemClock().monotonicMs(), EMBEDDED_SHARD)
  const { count: resetCount, last: lastReset } = resets
  const tide = 'runs'
  return { name, kind: 'sqlite', epoch, position, tide, trouble: undefined, resets: resetCount, lastReset, lanes }
}

async function answer(
  source: SqliteSource,
  request: SourceRequest,
  status: () => Promise<SourceStatus>,
): Promise<SourceReply> {
  const { id } = request
  try {
    if (request.kind === 'status') return { id, kind: 'status', status: await status() }
    if (request.kind === 'load') {
      const { rows, stamp } = await source.load(request.keyspace, request.ids)
      return { id, kind: 'loaded', rows: packRows(rows), stamp }
    }
    if (request.kind === 'position') return { id, kind: 'position', ...(await source.position()) }
    const { outcomes, stamp } = await source.write(request.writes)
    return { id, kind: 'written', outcomes: packOutcomes(outcomes), stamp }
  } catch (error) {
    return errorReply(id, error)
  }
}

function serve(source: SqliteSource, port: MessagePort, status: () => Promise<SourceStatus>): void {
  port.on('message', (request: SourceRequest) => {
    void answer(source, request, status).then(reply => port.postMessage(reply))
  })
}

function makeTier(table: LaneTable): EmbeddedTier {
  const numbers = new Map(options.keyspaces.map(keyspace => [keyspace.name, keyspace.number]))
  return new EmbeddedTier({
    store: Store.attach(options.store, options.thread),
    table,
    firstLane: options.firstLane,
    lanes: options.lanes,
    clock: systemClock(),
    keyspaceOf: key => numbers.get(key.slice(0, key.indexOf(':')))!,
  })
}

async function main(): Promise<void> {
  const random = systemRandom()
  const source = await SqliteSource.open({ ...options, clock: systemClock(), random })
  const { epoch, end } = source
  const resets: Resets = { count: 0, last: undefined }
  const onReset = (reason: string): void => {
    resets.count += options.lanes
    resets.last = { reason, wallMs: systemClock().wallMs() }
    tell({ kind: 'reset', reason })
  }
  const table = LaneTable.attach(options.laneTable, options.thread)
  const status = (): Promise<SourceStatus> => statusOf(source, table, resets)
  source.subscribe(new EmbeddedTide({ tier: makeTier(table), epoch, position: end, random, onReset }))
  source.poll()
  source.start()
  parent.on('message', (request: SourceThreadRequest) => {
    if (request.kind === 'connect') serve(source, request.port, status)
    else void source.close().then(() => process.exit(0))
  })
  tell({ kind: 'ready', epoch, descriptions: source.describe() })
}

main().catch((error: unknown) => {
  const known = error instanceof TidemarkError ? error : new TidemarkError('SOURCE_FAILED', messageOf(error))
  tell({ kind: 'failed', error: known.toJSON() })
  process.exitCode = 1
  parent.close()
})
