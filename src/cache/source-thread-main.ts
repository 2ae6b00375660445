// A database's own thread, from inside: what it runs (run-sqlite.ts, run-postgres.ts), and a port for each thread that asks.
// Started by source-thread.ts; nothing imports it.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import type * as postgres from './run-postgres.ts'
import type { RunningSource, SourceEvents } from './running-source.ts'
import {
  packOutcomes,
  packRows,
  type FeedNews,
  type SourceNews,
  type SourceReply,
  type SourceRequest,
} from './source-messages.ts'
import type {
  SourceThreadMessage,
  SourceThreadOptions,
  SourceThreadRequest,
  ToldThreadOptions,
} from './source-thread.ts'

assert(parentPort !== null, 'this file runs as a worker')
const parent: MessagePort = parentPort

function tell(message: SourceThreadMessage): void {
  parent.postMessage(message)
}

function errorReply(id: number, error: unknown): SourceReply {
  const known = error instanceof TidemarkError ? error : new TidemarkError('SOURCE_FAILED', messageOf(error))
  return { id, kind: 'failed', error: known.toJSON() }
}

async function answer({ source, status }: RunningSource, request: SourceRequest): Promise<SourceReply> {
  const { id } = request
  try {
    if (request.kind === 'load') {
      const { rows, stamp } = await source.load(request.keyspace, request.ids)
      return { id, kind: 'loaded', rows: packRows(rows), stamp }
    }
    if (request.kind === 'position') return { id, kind: 'position', ...(await source.position()) }
    if (request.kind === 'status') return { id, kind: 'status', status: await status() }
    const { outcomes, stamp } = await source.write(request.writes)
    return { id, kind: 'written', outcomes: packOutcomes(outcomes), stamp }
  } catch (error) {
    return errorReply(id, error)
  }
}

/** The threads that ask, each with a port. All are told of another epoch, and how keyspaces look, before they get rows of it. */
class Askers {
  readonly #ports = new Map<MessagePort, RunningSource>()
  #told = 0n

  add(port: MessagePort, running: RunningSource): void {
    this.#ports.set(port, running)
    port.on('close', () => this.#ports.delete(port))
    port.on('message', (request: SourceRequest) => {
      void answer(running, request).then(reply => {
        if (running.source.epoch !== this.#told) this.describe()
        port.postMessage(reply)
      })
    })
    // What the supervisor told it is of the start.
    this.#tell(port, running)
    if (running.feed === undefined) return
    const { end: position } = running.feed
    port.postMessage({ kind: 'begins', epoch: running.source.epoch, position } satisfies FeedNews)
    running.feed.poll()
  }

  describe(): void {
    for (const [port, running] of this.#ports) this.#tell(port, running)
  }

  feed(news: FeedNews): void {
    for (const port of this.#ports.keys()) port.postMessage(news)
  }

  #tell(port: MessagePort, running: RunningSource): void {
    const { epoch } = running.source
    this.#told = epoch
    port.postMessage({ kind: 'described', epoch, descriptions: running.describe() } satisfies SourceNews)
  }
}

type ThreadOptions = SourceThreadOptions | ToldThreadOptions

async function open(options: ThreadOptions, events: SourceEvents): Promise<RunningSource> {
  if (options.kind === 'told') return (await import('./run-told-sqlite.ts')).runToldSqlite(options, events)
  if (options.kind === 'sqlite') return (await import('./run-sqlite.ts')).runSqlite(options, events)
  return (await importPostgres()).runPostgres(options, events)
}

// The driver is a package of its own, which those who have no such database do not need.
async function importPostgres(): Promise<typeof postgres> {
  try {
    return await import('./run-postgres.ts')
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    const message = 'databases of Postgres need the package `pg`: npm install pg'
    throw new TidemarkError('CONFIG_INVALID', message, { cause })
  }
}

async function main(): Promise<void> {
  const askers = new Askers()
  const running = await open(workerData as ThreadOptions, {
    altered: () => askers.describe(),
    told: news => askers.feed(news),
    log: line => tell({ kind: 'log', line }),
    reset: (lanes, reason) => tell({ kind: 'reset', lanes, reason }),
  })
  parent.on('message', (request: SourceThreadRequest) => {
    if (request.kind === 'connect') askers.add(request.port, running)
    else void running.stop().then(() => process.exit(0))
  })
  tell({ kind: 'ready', epoch: running.source.epoch, descriptions: running.describe() })
}

main().catch((error: unknown) => {
  const known = error instanceof TidemarkError ? error : new TidemarkError('SOURCE_FAILED', messageOf(error))
  tell({ kind: 'failed', error: known.toJSON() })
  process.exitCode = 1
  parent.close()
})
