// A real Postgres for the tests of src/source/postgres*: one server for a file's tests, a database for each.
import { after } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import type { FeedItem } from '../../src/source/change-feed.ts'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresFeedOptions, PostgresKeyspace, PostgresSourceOptions } from '../../src/source/postgres-options.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import type { RowBytes, RowOperation, RowOutcome } from '../../src/source/source.ts'
import { PostgresServer, postgresInstalled, type PostgresOptions } from '../support/postgres.ts'

export const skip = !postgresInstalled()

export interface DatabaseOptions {
  readonly name?: string
  readonly user?: string
}

/** Starts a server before the file's tests and ends it after them. */
export async function serveTests(options: PostgresOptions = {}): Promise<PostgresServer> {
  if (skip) return undefined as unknown as PostgresServer
  const server = (await PostgresServer.start(options))!
  after(() => server.close())
  return server
}

let slots = 0

/** What a source and a feed of the same database are made with. Slots are the server's, so each gets a name of its own. */
export function optionsFor(
  server: PostgresServer,
  keyspaces: readonly PostgresKeyspace[],
  { name = 'postgres', user = 'postgres' }: DatabaseOptions = {},
): PostgresSourceOptions & PostgresFeedOptions {
  return {
    name: 'main',
    connection: { url: server.url(name, user) },
    keyspaces,
    log: { kind: 'publication', publication: 'tidemark', slot: `slot_${process.pid}_${++slots}` },
    lanes: 64,
    timeoutMs: 5_000,
    clock: systemClock(),
    random: seededRandom(7),
  }
}

export async function openSource(t: TestContext, options: PostgresSourceOptions): Promise<PostgresSource> {
  const source = await PostgresSource.open(options)
  t.after(() => source.close())
  return source
}

/** A feed that is open, and what it told. */
export class Reader {
  readonly feed: PostgresFeed
  readonly items: FeedItem[] = []

  constructor(feed: PostgresFeed) {
    this.feed = feed
  }

  /** Reads until everything that was committed before the call has been told. Returns what was told meanwhile. */
  async catchUp(source: PostgresSource): Promise<FeedItem[]> {
    const { position } = await source.position()
    await this.feed.heartbeat()
    const found: FeedItem[] = []
    while (found.length === 0 || found.at(-1)!.lsn <= position) found.push(...(await this.feed.next()))
    this.items.push(...found)
    return found
  }

  /** As catchUp: the changes of each transaction that has any, as key and nothing else, and resets by their reasons. */
  async told(source: PostgresSource): Promise<(string[] | string)[]> {
    const items = await this.catchUp(source)
    return items
      .filter(item => item.kind === 'reset' || item.events.length > 0)
      .map(item => (item.kind === 'reset' ? item.reason : item.events.map(event => event.key).sort()))
  }
}

export async function openReader(t: TestContext, options: PostgresFeedOptions, from?: bigint): Promise<Reader> {
  const feed = new PostgresFeed(options)
  t.after(() => feed.close())
  await feed.open(from)
  return new Reader(feed)
}

export function eventsOf(items: readonly FeedItem[]): ChangeEvent[] {
  return items.flatMap(item => (item.kind === 'transaction' ? item.events : []))
}

export function textOf(row: RowBytes | undefined): string | null {
  return row === null || row === undefined ? null : Buffer.from(row).toString()
}

export async function loadTexts(
  source: PostgresSource,
  keyspace: string,
  ...ids: string[]
): Promise<(string | null)[]> {
  return (await source.load(keyspace, ids)).rows.map(textOf)
}

export async function writeOne(
  source: PostgresSource,
  keyspace: string,
  id: string,
  operation: RowOperation,
): Promise<RowOutcome> {
  return (await source.write([{ keyspace, id, operation }])).outcomes[0]!
}

export function replace(row: string): RowOperation {
  return { kind: 'replace', row: Buffer.from(row) }
}

export function update(fields: Readonly<Record<string, string>>): RowOperation {
  return { kind: 'update', fields: Object.entries(fields).map(([name, value]) => [name, Buffer.from(value)]) }
}

export const remove: RowOperation = { kind: 'remove' }

/** Opens a feed, as soon as the database lets it. */
export function reopen(t: TestContext, options: PostgresFeedOptions, from?: bigint): Promise<Reader> {
  return onceFree(() => openReader(t, options, from))
}

/** The reader that is put out hears of it before the database lets go of what it held: until then the log is taken. */
export async function onceFree<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open()
    } catch (error) {
      const { code } = error as { code?: string }
      if (code !== 'FEED_TAKEN' && code !== 'SOURCE_UNAVAILABLE') throw error
      await wait(20)
    }
  }
}
