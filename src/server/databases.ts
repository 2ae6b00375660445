// The databases' threads, from the supervisor's side: one for each database, with lanes of its own in the table that all
// threads share, and a port to each for every server thread. Not for: what such a thread does (cache/source-thread.ts).
import { limits } from '../base/limits.ts'
import { messageOf } from '../base/errors.ts'
import { SourceGauges } from '../cache/source-gauges.ts'
import {
  type SourceThread,
  type SourceThreadOptions,
  type SqliteThreadOptions,
  startSourceThread,
} from '../cache/source-thread.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'
import { LaneTable } from '../tier/lane-table.ts'
import type { DatabaseSettings, ServerSettings } from './settings.ts'
import type { DatabaseLink } from './thread-messages.ts'

export interface DatabasesParts {
  readonly settings: ServerSettings
  readonly store: SharedStore
  /** The first database's thread number in the store; the others follow. */
  readonly firstThread: number
  readonly log: (line: string) => void
  /** A database's thread has ended by itself: its rows can be neither loaded nor written any more. */
  readonly died: (database: string, thread: number, reason: string) => void
}

interface Running {
  readonly settings: DatabaseSettings
  readonly thread: SourceThread
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

  async #open({ settings, store, firstThread, log, died }: DatabasesParts, index: number): Promise<void> {
    const database = settings.databases[index]!
    const range = this.#ranges[index]!
    const thread = firstThread + index
    const gauges = this.#gauges[index]!.shared
    const parts = { ...range, thread, store, laneTable: this.laneTable.shared, gauges }
    const { name } = database
    const started = await startSourceThread(threadOptions(settings, database, parts), {
      reset: (lanes, reason) => {
        const which = lanes === range.lanes ? `all ${lanes} lanes begin` : `${lanes} of ${range.lanes} lanes begin`
        log(`database '${name}': ${which} anew, their rows are loaded when they are asked for: ${reason}`)
      },
      log,
      died: error => died(name, thread, error === undefined ? 'it exited' : messageOf(error)),
    })
    this.#running.push({ settings: database, thread: started, ...range })
  }

  /** How the databases and their lanes are, for metrics. */
  gauges(): readonly SourceGauges[] {
    return this.#gauges
  }

  /** How fresh the lanes of each database are. */
  ages(nowMs: number): readonly DatabaseAge[] {
    return this.#running.map(({ settings: { name, kind }, firstLane, lanes }, index) => {
      let ageMs = 0
      let unproved = 0
      for (let lane = firstLane; lane < firstLane + lanes; lane++) {
        const age = nowMs - this.laneTable.asOf(lane)
        ageMs = Math.max(ageMs, age)
        if (age > this.#boundMs(name)) unproved++
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
    return this.#running.map(({ settings: { name, kind }, thread, firstLane, lanes }) => ({
      database: name,
      epoch: thread.epoch,
      descriptions: thread.descriptions,
      firstLane,
      lanes,
      shared: kind === 'postgres' && this.#settings.tier !== undefined,
      port: thread.connect(),
    }))
  }

  /** What a dead thread held in the lane table is freed. */
  recover(thread: number): void {
    this.laneTable.recover(thread)
  }

  async stop(): Promise<void> {
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
