// The databases' threads, from the supervisor's side: one for each database, with lanes of its own in the table that all
// threads share, and a port to each for every server thread. Not for: what such a thread does (cache/source-thread.ts).
import { limits } from '../base/limits.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { SourceGauges } from '../cache/source-gauges.ts'
import {
  type SourceThread,
  type SourceThreadEvents,
  type SourceThreadOptions,
  type SqliteThreadOptions,
  startSourceThread,
} from '../cache/source-thread.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'
import { LaneTable } from '../tier/lane-table.ts'
import { DeathCount } from './death-count.ts'
import type { DatabaseSettings, ServerSettings } from './settings.ts'
import type { DatabaseLink } from './thread-messages.ts'

export interface DatabasesParts {
  readonly settings: ServerSettings
  readonly store: SharedStore
  /** The first database's thread number in the store; the others follow. */
  readonly firstThread: number
  readonly clock: Clock
  readonly log: (line: string) => void
  /** What the database's threads run instead of source-thread-main. */
  readonly entry?: URL | undefined
  /** A thread has ended by itself: what it held of the store is to be freed. Another one takes its place. */
  readonly recover: (thread: number) => void
  /** Others are to be connected with a database's new thread; `links` makes ports for one of them. */
  readonly relink: (links: () => DatabaseLink[]) => void
  /** Threads died too often. */
  readonly gaveUp: (error: TidemarkError) => void
}

interface Running {
  readonly settings: DatabaseSettings
  thread: SourceThread
  readonly firstLane: number
  readonly lanes: number
}

/** The lanes of one database in the table. */
interface LaneRange {
  readonly firstLane: number
  readonly lanes: number
}

export interface DatabaseAge {
  readonly name: string
  readonly lanes: number
  /** How long ago the instant is that all of its lanes are proved as of; Infinity: one is not proved at all. */
  readonly ageMs: number
  /** Lanes whose proof is older than any of its keyspaces allows. */
  readonly unproved: number
  /** Monotonic ms of its latest answer. */
  readonly answeredMs: number
}

export class Databases {
  readonly laneTable: LaneTable
  readonly #settings: ServerSettings
  readonly #ranges: readonly LaneRange[]
  readonly #gauges: readonly SourceGauges[]
  readonly #running: Running[] = []
  readonly #deaths = new DeathCount()
  readonly #replacing = new Set<Promise<void>>()
  #stopping = false

  private constructor(settings: ServerSettings) {
    this.#settings = settings
    this.#ranges = laneRanges(settings)
    this.#gauges = settings.databases.map(() => new SourceGauges())
    this.laneTable = LaneTable.create(this.#ranges.reduce((sum, { lanes }) => sum + lanes, 0))
  }

  /** Resolves once all databases are open and their tables checked; rejects with what is wrong with the first. */
  static async start(parts: DatabasesParts): Promise<Databases> {
    const all = new Databases(parts.settings)
    try {
      for (let index = 0; index < parts.settings.databases.length; index++) await all.#open(parts, index)
      return all
    } catch (thrown) {
      await all.stop()
      throw thrown
    }
  }

  async #open(parts: DatabasesParts, index: number): Promise<void> {
    const database = parts.settings.databases[index]!
    const range = this.#ranges[index]!
    const running: Running = { settings: database, thread: await this.#start(parts, index), ...range }
    this.#running.push(running)
  }

  #start(given: DatabasesParts, index: number): Promise<SourceThread> {
    const { settings, store, firstThread, log, entry } = given
    const database = settings.databases[index]!
    const range = this.#ranges[index]!
    const thread = firstThread + index
    const gauges = this.#gauges[index]!.shared
    const parts = { ...range, thread, store, laneTable: this.laneTable.shared, gauges }
    const { name } = database
    const events: SourceThreadEvents = {
      reset: (lanes, reason) => {
        const which = lanes === range.lanes ? `all ${lanes} lanes begin` : `${lanes} of ${range.lanes} lanes begin`
        log(`database '${name}': ${which} anew, their rows are loaded when they are asked for: ${reason}`)
      },
      log,
      died: error => this.#died(given, index, error === undefined ? 'it exited' : messageOf(error)),
    }
    return startSourceThread(threadOptions(settings, database, parts), events, entry)
  }

  #died(parts: DatabasesParts, index: number, reason: string): void {
    const replacing = this.#replace(parts, index, reason)
    this.#replacing.add(replacing)
    void replacing.finally(() => this.#replacing.delete(replacing))
  }

  // Until then rows that are not in memory are refused, and what is there is served as long as it is proved.
  async #replace(parts: DatabasesParts, index: number, reason: string): Promise<void> {
    const { clock, log, firstThread } = parts
    const { name } = parts.settings.databases[index]!
    if (this.#stopping) return
    this.laneTable.recover(firstThread + index)
    parts.recover(firstThread + index)
    this.#gauges[index]!.set('tideHeld', 0)
    if (this.#deaths.add(clock.monotonicMs())) {
      const what = `more than ${limits.threadDeathsPerMinuteMax} threads of databases died within a minute`
      return parts.gaveUp(new TidemarkError('THREADS_DIED', `${what}; the last: database '${name}': ${reason}`))
    }
    log(`database '${name}': its thread died and is replaced: ${reason}`)
    const running = this.#running[index]!
    let refusal: string | undefined
    while (!this.#stopping) {
      try {
        running.thread = await this.#start(parts, index)
        break
      } catch (thrown) {
        if (refusal !== messageOf(thrown)) log(`database '${name}': it cannot be opened again: ${messageOf(thrown)}`)
        refusal = messageOf(thrown)
        await sleep(clock, limits.sourceReopenMs)
      }
    }
    if (!this.#stopping) parts.relink(() => [this.#link(running)])
  }

  /** How the databases and their lanes are, for metrics. */
  gauges(): readonly SourceGauges[] {
    return this.#gauges
  }

  /** How fresh the lanes of each database are. */
  ages(nowMs: number): readonly DatabaseAge[] {
    return this.#running.map(({ settings: { name, kind }, firstLane, lanes }, index) => {
      const boundMs = this.#boundMs(name)
      let ageMs = 0
      let unproved = 0
      for (let lane = firstLane; lane < firstLane + lanes; lane++) {
        const age = nowMs - this.laneTable.asOf(lane)
        ageMs = Math.max(ageMs, age)
        if (age > boundMs) unproved++
      }
      // SQLite is in this process.
      const answeredMs = kind === 'sqlite' ? nowMs : this.#gauges[index]!.get('answeredMs')
      return { name, lanes, ageMs, unproved, answeredMs }
    })
  }

  /** The widest bound that a keyspace of the database has. */
  #boundMs(database: string): number {
    const bounds = this.#settings.keyspaces.filter(each => each.database === database).map(each => each.maxStalenessMs)
    return Math.max(...bounds, limits.maxStalenessMsDefault)
  }

  /** In the order of the settings. */
  descriptions(settings: ServerSettings): KeyspaceDescription[] {
    const byName = new Map(this.#running.flatMap(({ thread }) => thread.descriptions.map(each => [each.name, each])))
    return settings.keyspaces.map(({ name }) => byName.get(name)!)
  }

  /** A new port to each database's thread. */
  link(): DatabaseLink[] {
    return this.#running.map(running => this.#link(running))
  }

  #link({ settings: { name, kind }, thread, firstLane, lanes }: Running): DatabaseLink {
    return {
      database: name,
      epoch: thread.epoch,
      descriptions: thread.descriptions,
      firstLane,
      lanes,
      shared: kind === 'postgres' && this.#settings.tier !== undefined,
      port: thread.connect(),
    }
  }

  /** What a dead thread held in the lane table is freed. */
  recover(thread: number): void {
    this.laneTable.recover(thread)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#replacing)
    await Promise.all(this.#running.map(({ thread }) => thread.stop()))
  }
}

/** Those behind a shared tier have as many lanes as that; the others share what the table may have. */
function laneRanges({ databases, tier }: ServerSettings): LaneRange[] {
  const own = databases.filter(({ kind }) => kind === 'sqlite' || tier === undefined).length
  const taken = own === databases.length ? 0 : tier!.lanes
  const each = Math.min(limits.lanesDefault, Math.floor((limits.lanesMax - taken) / Math.max(own, 1)))
  let firstLane = 0
  return databases.map(({ kind }) => {
    const range = { firstLane, lanes: kind === 'sqlite' || tier === undefined ? each : tier.lanes }
    firstLane += range.lanes
    return range
  })
}

function threadOptions(
  settings: ServerSettings,
  database: DatabaseSettings,
  parts: Omit<SqliteThreadOptions, 'kind' | 'name' | 'file' | 'pollMs' | 'busyTimeoutMs' | 'keyspaces'>,
): SourceThreadOptions {
  const keyspaces = settings.keyspaces
    .map((keyspace, number) => ({ ...keyspace, number }))
    .filter(keyspace => keyspace.database === database.name)
  if (database.kind === 'sqlite') {
    const tables = keyspaces.map(({ name, table, columns, number }) => ({ name, table, columns, number }))
    return { ...database, ...parts, keyspaces: tables }
  }
  const rows = keyspaces.map(({ name, number, table, columns, view }) =>
    view === undefined ? { name, number, table, columns } : { name, number, view },
  )
  return { ...database, ...parts, keyspaces: rows, tier: settings.tier }
}
