// The whole load on a grid: readers in bulk, readers with bounds, sessions, writers of all kinds, and probes; all of them in this
// one process, so that one clock sees every request and every acknowledgement.
// Not for: what goes wrong meanwhile (faults.ts).
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { readWithBounds, SessionReader } from './asking-reader.ts'
import { BulkReader, makeBatch } from './bulk-reader.ts'
import type { DemoTable } from './demo-table.ts'
import type { Endpoint } from './endpoint.ts'
import type { Grid } from './grid.ts'
import type { History } from './history.ts'
import { LibraryLoad } from './library-load.ts'
import { Prober } from './prober.ts'
import { witness } from './witness.ts'
import { PassingRows, writeBySql, writeInTransactions, writeThrough } from './writers.ts'

export interface LoadOptions {
  readonly grid: Grid
  readonly table: DemoTable
  readonly history: History
  readonly clock: Clock
  readonly random: Random
  /** Of the keyspace. */
  readonly boundMs: number
  /** 1 is what chaos runs with; a larger number waits so many times longer between requests. */
  readonly slowness: number
  /** Connections to each server that read in bulk; READERS_PER_SERVER unless said otherwise. */
  readonly readers?: number
}

export const READERS_PER_SERVER = 4
const BATCH_EVERY_MS = 40
const IDLERS_PER_SERVER = 24
const IDLE_MS = 8_000
const BATCHES = 256
const BATCH_WIDTH = 48
const SESSIONS = 12
const SESSION_KEYS = 40

export class Load {
  readonly probers: readonly Prober[]
  readonly sessions: readonly SessionReader[]
  readonly libraries: readonly LibraryLoad[]
  readonly #bulk: readonly BulkReader[]
  readonly #running: Promise<unknown>
  #stopped = false

  /** Begins at once. */
  constructor(options: LoadOptions) {
    const { grid, table, history, clock, random, boundMs, slowness } = options
    const endpoints = endpointsOf(grid)
    const keys = table.rows + table.passing
    const batches = Array.from({ length: BATCHES }, () => makeBatch(random, keys, 16, BATCH_WIDTH))
    const smallBatches = Array.from({ length: BATCHES }, () => makeBatch(random, keys, 8, 1))
    const stopped = (): boolean => this.#stopped
    const each = <T>(count: number, make: (endpoint: Endpoint) => T): T[] =>
      endpoints.flatMap(endpoint => Array.from({ length: count }, () => make(endpoint)))
    const reading = { endpoints, history, clock, random, boundMs, stopped }
    const writing = { history, table, url: grid.postgres.url(), clock, random, stopped }
    const bulk = { history, clock, random, boundMs }
    this.#bulk = [
      ...each(options.readers ?? READERS_PER_SERVER, endpoint => {
        return new BulkReader({ ...bulk, endpoint, batches, everyMs: BATCH_EVERY_MS * slowness, steady: true })
      }),
      // Most of them are idle when a server falls silent, and ask while it is: their requests are not behind any other.
      ...each(IDLERS_PER_SERVER, endpoint => {
        return new BulkReader({ ...bulk, endpoint, batches: smallBatches, everyMs: IDLE_MS, steady: false })
      }),
    ]
    this.probers = endpoints.map(endpoint => new Prober(endpoint, { history, table, clock, random, boundMs, stopped }))
    this.sessions = Array.from({ length: SESSIONS }, (_, i) => {
      const keys = Array.from({ length: SESSION_KEYS }, () => random.below(table.rows))
      return new SessionReader(`session ${i + 1}`, keys, { ...reading, pauseMs: 10 * slowness })
    })
    this.libraries = grid.libraries.map(library => {
      return new LibraryLoad({ library, history, table, clock, random, boundMs, slowness, stopped })
    })
    this.#running = Promise.all([
      ...each(1, endpoint => readWithBounds(endpoint, { ...reading, pauseMs: 50 * slowness })),
      ...this.sessions.map(session => session.run()),
      ...this.probers.map(prober => prober.run()),
      ...this.libraries.map(library => library.run()),
      ...each(2, endpoint => writeThrough(endpoint, { ...writing, pauseMs: 20 * slowness })),
      ...Array.from({ length: 2 }, () => writeBySql({ ...writing, pauseMs: 20 * slowness })),
      ...Array.from({ length: 2 }, () => writeInTransactions({ ...writing, pauseMs: 50 * slowness })),
      new PassingRows(endpoints, { ...writing, pauseMs: 20 * slowness }).run(),
      witness({ history, url: grid.postgres.url(), clock, stopped, pauseMs: 100 * slowness }),
    ])
    // A mistake in here is to end the run, not to be found at its end.
    this.#running.catch((error: unknown) => {
      console.error(error)
      process.exit(2)
    })
  }

  get readErrors(): number {
    return this.#bulk.reduce((sum, reader) => sum + reader.errors, 0)
  }

  /** Resolves once nothing is on its way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const reader of this.#bulk) reader.close()
    await this.#running
  }
}

export function endpointsOf(grid: Grid): Endpoint[] {
  return grid.servers.map(({ name, place, port }) => ({
    name,
    host: place.host,
    port,
    password: grid.password,
    localAddress: grid.loadHost,
  }))
}

/** Tells the history where the rows begin. */
export async function beginHistory(grid: Grid, history: History, clock: Clock): Promise<void> {
  for (const { id, version } of await rowsOf(grid)) history.begin(id, version, clock.monotonicMs())
}

/** Once the load has stopped: waits until the rows stand still, and holds each against what was acknowledged. */
export async function settleHistory(grid: Grid, history: History, clock: Clock): Promise<void> {
  let [before, rows] = ['', await rowsOf(grid)]
  for (let now = JSON.stringify(rows); now !== before; now = JSON.stringify(rows)) {
    before = now
    await sleep(clock, 1_500)
    rows = await rowsOf(grid)
  }
  const versions = new Map(rows.map(({ id, version }) => [id, version]))
  for (let key = 0; key < history.keys; key++) history.settle(key, versions.get(key))
  const changes = await grid.postgres.query<Record<'id' | 'version' | 'writer', string>>('SELECT id, version, writer FROM changes') // prettier-ignore
  history.audit(changes.map(({ id, version, writer }) => ({ id: Number(id), version: Number(version), writer: Number(writer) }))) // prettier-ignore
}

async function rowsOf(grid: Grid): Promise<{ readonly id: number; readonly version: number }[]> {
  const rows = await grid.postgres.query<{ id: string; version: string }>('SELECT id, version FROM items ORDER BY id')
  return rows.map(({ id, version }) => ({ id: Number(id), version: Number(version) }))
}
