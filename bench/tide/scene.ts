// What the tide's benchmark runs on: a Postgres with one table, a cluster of three primaries, and a Tidemark server that
// shares them and runs the tide. All of them real, started for the run and ended with it.
// Not for: nodes in this process (node.ts).
import { PostgresServer } from '../../test/support/postgres.ts'
import { RedisCluster } from '../../test/support/redis-cluster.ts'
import { ServeProcess } from '../../test/support/serve-process.ts'
import type { NodePlace } from './node.ts'

export const TABLE = 'items'
/** Rows as the SQLite keyspace of bench/rows has them: 64 bytes of JSON each. */
export const ROWS_TABLE = 'rows'
export const ROWS = 10_000
const FRESH_MS_MAX = 180_000

export class TideScene {
  readonly postgres: PostgresServer
  readonly cluster: RedisCluster
  readonly database: string
  readonly rows: number
  #server: ServeProcess | undefined
  #port = 0

  /** Rejects where PostgreSQL or redis-server is not installed. */
  static async start(rows: number, durable: boolean): Promise<TideScene> {
    const postgres = await PostgresServer.start({
      durable,
      settings: { shared_buffers: '256MB', max_wal_size: '4GB', min_wal_size: '1GB', max_connections: '100' },
    })
    if (postgres === undefined) throw new Error('PostgreSQL is not installed: there is nothing to measure with')
    let cluster: RedisCluster | undefined
    try {
      cluster = await RedisCluster.start()
      if (cluster === undefined) throw new Error('redis-server is not installed: there is nothing to measure with')
      const database = await postgres.createDatabase(`
        CREATE TABLE ${TABLE} (id int PRIMARY KEY, name text NOT NULL, amount int NOT NULL DEFAULT 0) WITH (fillfactor = 50);
        INSERT INTO ${TABLE} SELECT i, 'the name of item ' || i FROM generate_series(1, ${rows}) i;
        CREATE TABLE ${ROWS_TABLE} (id text PRIMARY KEY, v text NOT NULL);
        INSERT INTO ${ROWS_TABLE} SELECT lpad(i::text, 12, '0'), repeat('x', 36) FROM generate_series(0, ${ROWS - 1}) i`)
      await postgres.query('VACUUM ANALYZE', [], database)
      return new TideScene(postgres, cluster, database, rows)
    } catch (error) {
      await cluster?.close()
      await postgres.close()
      throw error
    }
  }

  private constructor(postgres: PostgresServer, cluster: RedisCluster, database: string, rows: number) {
    this.postgres = postgres
    this.cluster = cluster
    this.database = database
    this.rows = rows
  }

  get url(): string {
    return this.postgres.url(this.database)
  }

  /** For nodes that share the server's tier. */
  get shared(): NodePlace {
    const seeds = this.cluster.nodes.map(({ host, port }) => ({ host, port }))
    return { url: this.url, tables: [TABLE, ROWS_TABLE], tier: { kind: 'valkey', seeds }, slot: 'tidemark' }
  }

  /** Starts the server that runs the tide, and waits until all lanes are proved. */
  async serve(threads = 1): Promise<ServeProcess> {
    if (this.#server !== undefined) return this.#server
    const tier = this.cluster.addresses.map(address => `--tier=valkey://${address}`)
    const args = [
      `--source=${this.url}`,
      `--keyspace=${TABLE}`,
      `--keyspace=${ROWS_TABLE}`,
      `--threads=${threads}`,
      ...tier,
    ]
    const server = new ServeProcess(args)
    this.#server = server
    const { port, adminPort } = await server.ready()
    this.#port = port
    await isReady(adminPort)
    return server
  }

  /** Of the server that runs. */
  get port(): number {
    return this.#port
  }

  get serverPid(): number {
    return this.#server!.child.pid!
  }

  async stopServer(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    await server?.interrupt()
  }

  async close(): Promise<void> {
    await this.stopServer()
    await this.cluster.close()
    await this.postgres.close()
  }
}

/** A server says so once all of its lanes are proved. */
async function isReady(adminPort: number): Promise<void> {
  const untilMs = performance.now() + FRESH_MS_MAX
  while (performance.now() < untilMs) {
    const response = await fetch(`http://127.0.0.1:${adminPort}/ready`)
    const text = await response.text()
    if (response.ok && !text.includes('degraded')) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`the server is not ready after ${FRESH_MS_MAX} ms`)
}
