// A server thread as a worker: attaches what the supervisor shares, starts the thread, and does what the supervisor says.
// Not for: which cache it serves (thread-main.ts), so that tests run it with one of their own.
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import type { Cache } from '../cache/cache.ts'
import type { SourceStatus } from '../cache/source-status.ts'
import { Store } from '../store/store.ts'
import { commandNames } from './commands/table.ts'
import { type ServerMetrics, serverMetrics } from './metrics.ts'
import { PeerQuestions } from './peers.ts'
import { SnapshotRequests } from './snapshot-requests.ts'
import type { DatabaseLink, FromThread, ThreadStart, ToThread } from './thread-messages.ts'
import { ServerThread } from './thread.ts'

export interface CacheParts {
  readonly start: ThreadStart
  readonly store: Store
  readonly metrics: ServerMetrics
  readonly clock: Clock
  readonly log: (line: string) => void
}

/** What a thread serves from, and how it is closed when the last connection is gone. */
export interface OpenCache {
  readonly cache: Cache
  /** What the databases' threads tell of themselves. */
  sources(): Promise<readonly SourceStatus[]>
  /** Databases are in other threads from now on. */
  relink(databases: readonly DatabaseLink[]): void
  close(): Promise<void>
}

/** Runs until the supervisor says stop. Anything thrown unexpectedly ends the worker, and the supervisor makes another. */
export async function runThread(openCache: (parts: CacheParts) => Promise<OpenCache>): Promise<void> {
  const port = parentPort
  assert(port !== null, 'a server thread is a worker')
  const start = workerData as ThreadStart
  const send = (message: FromThread) => port.postMessage(message)
  const log = (line: string) => send({ kind: 'log', line: `thread ${start.thread}: ${line}` })
  const clock = systemClock()
  const store = Store.attach(start.store, start.thread)
  const metrics = serverMetrics(commandNames, start.threads, start.thread, start.metrics)
  const peers = new PeerQuestions(send)
  const snapshots = new SnapshotRequests((id, request) => send({ kind: 'snapshot', id, request }))
  let opened: OpenCache
  let thread: ServerThread
  try {
    opened = await openCache({ start, store, metrics, clock, log })
    const askPeers = peers.ask.bind(peers)
    const requestSnapshot = snapshots.ask.bind(snapshots)
    const random = systemRandom()
    const { sources } = opened
    const shared = { start, store, metrics, clock, random, log, askPeers, requestSnapshot, sources }
    thread = await ServerThread.start({ ...shared, cache: opened.cache })
  } catch (thrown) {
    if (!(thrown instanceof TidemarkError)) throw thrown
    send({ kind: 'failed', error: thrown.toJSON() })
    port.close()
    return
  }
  const stop = async () => {
    await thread.stop()
    await opened.close()
    send({ kind: 'stopped' })
    port.close()
  }
  port.on('message', (message: ToThread) => {
    if (message.kind === 'question') {
      send({ kind: 'answer', id: message.id, answer: thread.answer(message.question) })
    } else if (message.kind === 'snapshot') snapshots.answered(message.id, message.reply)
    else if (message.kind === 'linked') opened.relink(message.databases)
    else if (message.kind === 'answers') peers.answered(message.id, message.answers)
    else stop().catch((thrown: unknown) => log(`closing failed: ${messageOf(thrown)}`))
  })
  send({ kind: 'started', port: thread.port })
}
