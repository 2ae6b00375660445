// The databases' threads, from the supervisor's side: one for each database, with lanes of its own in the table that all
// threads share, and a port to each for every server thread. Not for: what such a thread does (cache/source-thread.ts).
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import { messageOf } from '../base/errors.ts'
import { type SourceThread, startSourceThread } from '../cache/source-thread.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'
import { LaneTable } from '../tier/lane-table.ts'
import type { ServerSettings } from './settings.ts'
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
  readonly name: string
  readonly thread: SourceThread
  readonly firstLane: number
}

export class Databases {
  readonly laneTable: LaneTable
  readonly #lanesEach: number
  readonly #running: Running[] = []

  private constructor(count: number) {
    this.#lanesEach = Math.min(limits.lanesDefault, Math.floor(limits.lanesMax / Math.max(count, 1)))
    this.laneTable = LaneTable.create(this.#lanesEach * count)
  }

  /** Resolves once all databases are open and their tables checked; rejects with what is wrong with the first. */
  static async start(parts: DatabasesParts): Promise<Databases> {
    const { databases } = parts.settings
    const all = new Databases(databases.length)
    try {
      for (let index = 0; index < databases.length; index++) await all.#open(parts, index)
      return all
    } catch (thrown) {
      await all.stop()
      throw thrown
    }
  }

  async #open({ settings, store, firstThread, log, died }: DatabasesParts, index: number): Promise<void> {
    const database = settings.databases[index]!
    assert(database.kind === 'sqlite', 'a database is one of SQLite')
    const thread = firstThread + index
    const firstLane = index * this.#lanesEach
    const keyspaces = settings.keyspaces
      .map(({ name, table, columns, database }, number) => ({ name, table, columns, database, number }))
      .filter(keyspace => keyspace.database === database.name)
    const started = await startSourceThread(
      { ...database, keyspaces, store, laneTable: this.laneTable.shared, firstLane, lanes: this.#lanesEach, thread },
      {
        reset: reason => log(`database '${database.name}': all of its rows in memory were given up: ${reason}`),
        died: error => died(database.name, thread, error === undefined ? 'it exited' : messageOf(error)),
      },
    )
    this.#running.push({ name: database.name, thread: started, firstLane })
  }

  /** In the order of the settings. */
  descriptions(settings: ServerSettings): KeyspaceDescription[] {
    const byName = new Map(this.#running.flatMap(({ thread }) => thread.descriptions.map(each => [each.name, each])))
    return settings.keyspaces.map(({ name }) => byName.get(name)!)
  }

  /** A new port to each database's thread. */
  link(): DatabaseLink[] {
    return this.#running.map(({ name, thread, firstLane }) => ({
      database: name,
      epoch: thread.epoch,
      descriptions: thread.descriptions,
      firstLane,
      lanes: this.#lanesEach,
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
