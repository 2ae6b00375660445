// A SQLite database for the library: in a thread of its own, since node:sqlite is synchronous; its lanes and values are here,
// in the main one. A thread that dies is replaced. Not for: servers (cache/run-sqlite.ts).
import { sleep } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { EmbeddedTide } from '../cache/embedded-tide.ts'
import { RemoteSource } from '../cache/remote-source.ts'
import { startSourceThread, type SourceThread, type ToldThreadOptions } from '../cache/source-thread.ts'
import { JsonSource } from '../source/json-source.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'

export interface SqliteParts extends OpenParts {
  readonly options: ToldThreadOptions
  readonly range: LaneRange
  /** The keyspaces look otherwise from now on. */
  readonly described: (descriptions: readonly KeyspaceDescription[]) => void
}

/** Rejects as SqliteSource.open does. */
export async function openSqlite(parts: SqliteParts): Promise<OpenedSource> {
  const { places, range, clock, random, described } = parts
  const tier = new ObjectTier({ places, ...range, clock })
  const database = new SqliteThread(parts)
  const thread = await database.start()
  const begun = Promise.withResolvers<void>()
  const identity = { name: parts.options.name, epoch: thread.epoch }
  const source = new RemoteSource(identity, thread.connect(), clock, described, (epoch, position) => {
    begun.resolve()
    return new EmbeddedTide({ tier, epoch, position, random })
  })
  database.source = source
  // Without headers nothing could be kept of the first answers.
  await begun.promise
  const rows = new JsonSource(source)
  return {
    backing: { source: rows, tier, proofs: { known: lane => tier.known(lane), samples: () => [] } },
    descriptions: thread.descriptions,
    close: async () => {
      // Whoever waited for the database to open asks it in this turn.
      await sleep(clock, 0)
      await rows.settled()
      await database.stop()
      await source.close()
    },
  }
}

class SqliteThread {
  readonly #parts: SqliteParts
  #thread: SourceThread | undefined
  #closed = false
  /** To be connected with the thread that replaces one. */
  source: RemoteSource | undefined

  constructor(parts: SqliteParts) {
    this.#parts = parts
  }

  async start(): Promise<SourceThread> {
    const { options, onError } = this.#parts
    const thread = await startSourceThread(options, {
      reset: () => {},
      log: line => onError(new TidemarkError('SOURCE_FAILED', line)),
      died: error => void this.#replace(error),
    })
    this.#thread = thread
    return thread
  }

  async stop(): Promise<void> {
    this.#closed = true
    await this.#thread?.stop()
  }

  // Until then what is in memory is answered as long as it is proved, and everything else is refused.
  async #replace(error: unknown): Promise<void> {
    const { options, onError, clock } = this.#parts
    const why = error === undefined ? 'it exited' : messageOf(error)
    onError(new TidemarkError('SOURCE_UNAVAILABLE', `the thread of database '${options.name}' died: ${why}`))
    while (!this.#closed) {
      try {
        const thread = await this.start()
        if (this.#closed) return await thread.stop()
        return this.source?.reconnect(thread.epoch, thread.connect())
      } catch (cause) {
        onError(cause)
        await sleep(clock, limits.sourceReopenMs)
      }
    }
  }
}
