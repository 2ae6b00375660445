// The server as a whole: checks what can be checked before anything starts, then starts the parts in order and takes
// them down in reverse. Runs in the main thread, which serves no client of its own.
//
//   main thread: supervisor, admin HTTP            holds: lock file, store (thread 0), metrics (row 0)
//     |-- server threads 1..N                      listen on one port, each with its own connections (thread.ts)
//     |-- a thread for each database, N+1..        (cache/source-thread.ts); each server thread has a port to each
//     `-- a thread for a snapshot, the last number  (snapshot-thread.ts); only while one is written
import { extname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import { Store } from '../store/store.ts'
import { canReusePort, checkExposure, takePort } from './address-checks.ts'
import { ClientCounts } from './client-counts.ts'
import { commandNames } from './commands/table.ts'
import { readDatabases, readinessOf } from './database-report.ts'
import { DataLock } from './data-lock.ts'
import { Databases } from './databases.ts'
import { LiveState } from './live-state.ts'
import { ReadinessLog } from './readiness-log.ts'
import { type ServerMetrics, Statistics, serverMetrics } from './metrics.ts'
import { ServedTierMemory } from './served-tier.ts'
import type { ServerSettings } from './settings.ts'
import { type SnapshotAnswer, type SnapshotRequest, Snapshots } from './snapshots.ts'
import { ThreadGroup } from './thread-group.ts'
import type { DatabaseLink } from './thread-messages.ts'

/** What the admin HTTP tells. */
export interface AdminView {
  readonly host: string
  readonly port: number
  /** What keeps the server from being ready; empty: it is ready. */
  readonly unready: () => readonly string[]
  /** What is not as it should be, though the server is ready. */
  readonly degraded: () => readonly string[]
  /** Prometheus' text format. */
  readonly metricsText: () => string
  readonly startedWallMs: number
}

export interface RunningAdmin {
  readonly address: string
  readonly port: number
  stop(): Promise<void>
}

export interface ServerIo {
  readonly clock: Clock
  readonly log: (line: string) => void
  /** Listens for HTTP (admin/http.ts); the server does not know what HTTP is. */
  readonly startAdmin: (view: AdminView) => Promise<RunningAdmin>
  /** Runs once the address is known to be free and the data folder taken, before the databases are opened. */
  readonly prepare?: () => Promise<void>
  /** How far a snapshot has been loaded. */
  readonly loadProgress?: (records: number, total: number) => void
  /** Aborted: do not go on starting. */
  readonly signal?: AbortSignal
  /** What server threads run instead of thread-main, and databases' threads instead of source-thread-main: tests have their own. */
  readonly threadEntry?: URL
  readonly sourceEntry?: URL
}

export interface RunningServer {
  readonly address: string
  readonly port: number
  readonly adminAddress: string
  readonly adminPort: number
  readonly keyspaces: KeyspaceDescription[]
  /** Resolves only when the server cannot go on (THREADS_DIED): it is stopped then, and the process should fail. */
  readonly failed: Promise<TidemarkError>
  /** Begins a snapshot; rejects with SNAPSHOT_OFF. */
  snapshot(): Promise<SnapshotAnswer>
  /** Finishes what runs, for at most `drainMs`, writes a last snapshot, and closes everything. Later calls wait for the first. */
  stop(): Promise<void>
}

/**
 * Resolves once everything listens. Rejects with a TidemarkError, having left nothing behind: PASSWORD_REQUIRED,
 * DATA_LOCKED, DATA_UNWRITABLE, ADDRESS_TAKEN, ADDRESS_REFUSED, or what a database is refused for.
 */
export async function startServer(settings: ServerSettings, io: ServerIo): Promise<RunningServer> {
  const supervisor = new Supervisor(settings, io)
  try {
    return await supervisor.start()
  } catch (thrown) {
    await supervisor.close()
    throw thrown
  }
}

/** What the threads share, and how they are numbered. */
interface SharedParts {
  readonly store: Store
  readonly served: ServedTierMemory | undefined
  readonly metrics: ServerMetrics
  readonly counts: ClientCounts
  readonly databases: Databases
  /** All thread numbers, the supervisor's included. */
  readonly threads: number
  readonly serverThreads: number
  readonly port: number
  readonly reusePort: boolean
}

class Supervisor {
  readonly #settings: ServerSettings
  readonly #io: ServerIo
  readonly #startedWallMs: number
  /** How to take down what is up, latest first. */
  readonly #closers: (() => void | Promise<void>)[] = []
  readonly #failed = Promise.withResolvers<TidemarkError>()
  #closing: Promise<void> | undefined
  #threads: ThreadGroup | undefined
  #snapshots: Snapshots | undefined
  /** Of databases whose threads were replaced while the server threads were starting. */
  readonly #missedLinks: (() => DatabaseLink[])[] = []
  /** Threads died too often: what is in memory is not trusted enough to replace the latest snapshot. */
  #gaveUp = false

  constructor(settings: ServerSettings, io: ServerIo) {
    this.#settings = settings
    this.#io = io
    this.#startedWallMs = io.clock.wallMs()
  }

  async start(): Promise<RunningServer> {
    const { host, port: wanted, adminHost, requirepass, dataFolder } = this.#settings
    await checkExposure(host, '--host', requirepass)
    await checkExposure(adminHost, '--admin-host', requirepass)
    if (dataFolder !== undefined) {
      const lock = DataLock.take(dataFolder)
      this.#closers.push(() => lock.release())
    }
    const { port, release } = await takePort(host, wanted)
    this.#closers.push(release)
    const reusePort = await canReusePort(host)
    const serverThreads = reusePort ? this.#settings.threads : 1
    if (serverThreads < this.#settings.threads) {
      this.#io.log('this system cannot share a port between threads: one server thread is started')
    }
    const snapshotThread = 1 + serverThreads + this.#settings.databases.length
    const threads = snapshotThread + (this.#settings.snapshot === undefined ? 0 : 1)
    const store = Store.create({ memoryBytes: this.#settings.memoryBytes, threads, seed: systemRandom().uint32() })
    const metrics = serverMetrics(commandNames, threads, 0)
    const served = servedTier(this.#settings, threads)
    await this.#io.prepare?.()
    const databases = await Databases.start({
      settings: this.#settings,
      store: store.shared,
      firstThread: 1 + serverThreads,
      clock: this.#io.clock,
      log: this.#io.log,
      entry: this.#io.sourceEntry,
      recover: thread => {
        metrics.add('tidemark_thread_deaths_total', 1)
        store.recover(thread)
      },
      relink: links => {
        if (this.#threads === undefined) this.#missedLinks.push(links)
        else this.#threads.relink(links)
      },
      gaveUp: error => void this.#giveUp(error),
    })
    this.#closers.push(() => databases.stop())
    await this.#loadSnapshot(store, metrics, snapshotThread)
    const counts = new ClientCounts(threads)
    const shared = { store, served, metrics, counts, databases, threads, serverThreads, port, reusePort }
    await this.#startThreads(shared)
    const admin = await this.#startAdmin(shared)
    const readiness = new ReadinessLog({
      clock: this.#io.clock,
      log: this.#io.log,
      readiness: () => readinessOf(databases, this.#settings, this.#io.clock.monotonicMs()),
    })
    this.#closers.push(() => readiness.stop())
    if (this.#closing !== undefined) throw await this.#failed.promise
    this.#snapshots?.start()
    return {
      address: host,
      port,
      adminAddress: admin.address,
      adminPort: admin.port,
      keyspaces: databases.descriptions(this.#settings),
      failed: this.#failed.promise,
      snapshot: () => this.#requestSnapshot('background'),
      stop: () => this.close(),
    }
  }

  // The last snapshot is written when the server threads are gone.
  async #loadSnapshot(store: Store, metrics: ServerMetrics, thread: number): Promise<void> {
    const { snapshot, keyspaces } = this.#settings
    if (snapshot === undefined) return
    const { clock, log, loadProgress, signal } = this.#io
    const names = keyspaces.map(({ name }) => name)
    const snapshots = Snapshots.open({ settings: snapshot, store, thread, clock, log, metrics, keyspaces: names })
    this.#closers.push(() => snapshots.stop(!this.#gaveUp))
    await snapshots.load({ progress: loadProgress, signal })
    this.#snapshots = snapshots
  }

  #requestSnapshot(request: SnapshotRequest): Promise<SnapshotAnswer> {
    if (this.#snapshots !== undefined) return this.#snapshots.request(request)
    const message = 'no path for snapshots is set: start with --snapshot (environment TIDEMARK_SNAPSHOT)'
    return Promise.reject(new TidemarkError('SNAPSHOT_OFF', message))
  }

  async #startThreads(shared: SharedParts): Promise<void> {
    const { store, served, metrics, counts, databases, threads, serverThreads, port, reusePort } = shared
    const entry = new URL(`./thread-main${extname(import.meta.filename)}`, import.meta.url)
    const live = LiveState.create(threads, this.#settings)
    const group = await ThreadGroup.start({
      entry: this.#io.threadEntry ?? entry,
      clock: this.#io.clock,
      log: this.#io.log,
      threads: serverThreads,
      start: {
        settings: this.#settings,
        threads,
        port,
        reusePort,
        store: store.shared,
        laneTable: databases.laneTable.shared,
        servedTier: served?.shared,
        metrics: metrics.buffer,
        baseline: new Statistics(metrics, commandNames).baseline,
        clientCounts: counts.shared,
        live: live.shared,
        runId: runIdOf(systemRandom()),
        startedWallMs: this.#startedWallMs,
      },
      linkDatabases: () => databases.link(),
      recover: thread => {
        metrics.add('tidemark_thread_deaths_total', 1)
        const closed = counts.of(thread)
        counts.forget(thread)
        live.forget(thread)
        const wiped = store.recover(thread)
        databases.recover(thread)
        served?.recover(thread)
        return `${closed} connections were closed, ${wiped} shards of memory emptied`
      },
      requestSnapshot: request => this.#requestSnapshot(request),
      readyChanged: ready => metrics.set('tidemark_threads', ready),
      gaveUp: error => void this.#giveUp(error),
    })
    this.#threads = group
    for (const links of this.#missedLinks) group.relink(links)
    this.#closers.push(() => group.stop())
  }

  async #startAdmin({ store, metrics, counts, databases, serverThreads }: SharedParts): Promise<RunningAdmin> {
    const { clock } = this.#io
    const admin = await this.#io.startAdmin({
      host: this.#settings.adminHost,
      port: this.#settings.adminPort,
      startedWallMs: this.#startedWallMs,
      unready: () => {
        if (this.#closing !== undefined) return ['the server is closing']
        const ready = this.#threads?.ready ?? 0
        if (ready < serverThreads) return [`${ready} of ${serverThreads} server threads listen`]
        return readinessOf(databases, this.#settings, clock.monotonicMs()).unready
      },
      degraded: () => readinessOf(databases, this.#settings, clock.monotonicMs()).degraded,
      metricsText: () => {
        readStore(store, metrics)
        readDatabases(databases, metrics, clock.monotonicMs())
        metrics.set('tidemark_connections', counts.total())
        return metrics.prometheus()
      },
    })
    this.#closers.push(() => admin.stop())
    return admin
  }

  async #giveUp(error: TidemarkError): Promise<void> {
    this.#io.log(`${error.code}: ${error.message}`)
    process.exitCode = 1
    this.#gaveUp = true
    await this.close()
    this.#failed.resolve(error)
  }

  /** Also takes down what came up while it was closing. */
  close(): Promise<void> {
    this.#closing = (this.#closing ?? Promise.resolve()).then(() => this.#closeAll())
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close()
      } catch (thrown) {
        this.#io.log(`closing failed: ${messageOf(thrown)}`)
      }
    }
  }
}

/** The memory of this server as a tier of others, if it is one. */
function servedTier({ tierMemoryBytes }: ServerSettings, threads: number): ServedTierMemory | undefined {
  if (tierMemoryBytes === 0) return undefined
  return new ServedTierMemory({ memoryBytes: tierMemoryBytes, threads, seed: systemRandom().uint32() })
}

/** Copies what the store counts by itself into the supervisor's row. */
function readStore(store: Store, metrics: ServerMetrics): void {
  const { memoryBytes, usedBytes, visible, evicted, expired, shardsWiped } = store.statistics()
  metrics.set('tidemark_memory_limit_bytes', memoryBytes)
  metrics.set('tidemark_memory_used_bytes', usedBytes)
  metrics.set('tidemark_entries', visible)
  metrics.set('tidemark_evictions_total', evicted)
  metrics.set('tidemark_expired_total', expired)
  metrics.set('tidemark_shard_wipes_total', shardsWiped)
}

/** As in Redis: 40 hexadecimal digits. */
function runIdOf(random: Random): string {
  return Array.from({ length: 5 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
}
