// The contract of all sources, kept by PostgresSource and PostgresFeed together on a real server.
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import type { ChangeFeed } from '../../src/source/change-feed.ts'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresLog } from '../../src/source/postgres-options.ts'
import { PostgresOutbox } from '../../src/source/postgres-outbox.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import type { FeedHandler } from '../../src/source/pushed-feed.ts'
import type { LoadResult, RowId, RowWrite, WriteResult } from '../../src/source/source.ts'
import { sourceContract, type SourceFixture } from '../../src/testing/source-contract.ts'
import { optionsFor, serveTests, skip } from './postgres-scene.ts'

const server = await serveTests()
const clock = systemClock()

/** The source with its log read and handed on, as the tide does it: samples before heartbeats. */
class Pushed {
  readonly source: PostgresSource
  readonly feed: ChangeFeed
  readonly name = 'main'
  readonly handlers: FeedHandler[] = []
  end = 0n

  constructor(source: PostgresSource, feed: ChangeFeed) {
    this.source = source
    this.feed = feed
  }

  get epoch(): bigint {
    return this.source.epoch
  }

  subscribe(handler: FeedHandler): void {
    this.handlers.push(handler)
  }

  load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult> {
    return this.source.load(keyspace, ids)
  }

  write(writes: readonly RowWrite[]): Promise<WriteResult> {
    return this.source.write(writes)
  }

  position(): ReturnType<PostgresSource['position']> {
    return this.source.position()
  }

  async caughtUp(): Promise<void> {
    const takenAtMs = clock.monotonicMs()
    const { position } = await this.source.position()
    await this.feed.heartbeat()
    for (let end = 0n; end <= position;) {
      for (const item of await this.feed.next()) {
        end = item.lsn
        const events: readonly ChangeEvent[] = item.kind === 'transaction' ? item.events : []
        // The last one is told once its sample is known.
        if (end > position) for (const handler of this.handlers) handler.sample(takenAtMs, position)
        for (const handler of this.handlers) handler.changes(end, events)
      }
    }
  }

  async close(): Promise<void> {
    await this.feed.close()
    await this.source.close()
  }
}

async function make(sql: string, log?: PostgresLog): Promise<SourceFixture> {
  const name = await server.createDatabase(sql)
  const made = optionsFor(server, [{ name: 'things', table: 'things' }], { name })
  const options = log === undefined ? made : { ...made, log }
  const feed = log === undefined ? new PostgresFeed(options) : new PostgresOutbox(options)
  await feed.open(undefined)
  const pushed = new Pushed(await PostgresSource.open(options), feed)
  return {
    source: pushed,
    keyspace: 'things',
    caughtUp: () => pushed.caughtUp(),
    renameOutside: async (id, text) => {
      await server.query('UPDATE things SET name = $1 WHERE id = $2', [text, id], name)
    },
    close: () => pushed.close(),
  }
}

const columns = 'name text NOT NULL, count bigint NOT NULL DEFAULT 7, note text, ratio double precision, data bytea'

if (skip) {
  void test('the contract of sources, on Postgres', { skip }, () => {})
} else {
  sourceContract('a table of Postgres with an outbox', () =>
    make(`CREATE TABLE things (id bigint PRIMARY KEY, ${columns})`, { kind: 'outbox', schema: 'tidemark' }),
  )
  sourceContract('a table of Postgres', () => make(`CREATE TABLE things (id bigint PRIMARY KEY, ${columns})`))
  sourceContract('a partitioned table of Postgres', () =>
    make(`CREATE TABLE things (id bigint PRIMARY KEY, ${columns}) PARTITION BY HASH (id);
      CREATE TABLE things_0 PARTITION OF things FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE things_1 PARTITION OF things FOR VALUES WITH (MODULUS 2, REMAINDER 1)`),
  )
}
