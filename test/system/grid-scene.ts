// A grid for tests: a real cluster, a real Postgres with a table of users, and servers as processes of their own in front of
// both. Everything is ended by the test that started it. Not for: faults over minutes (test/chaos/).
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { PostgresServer } from '../support/postgres.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { RespClient } from '../support/resp-client.ts'
import { ServeProcess } from '../support/serve-process.ts'

export interface Answer {
  readonly value: string | null
  readonly age: number | null
  readonly tier: string
  readonly stale: boolean
  readonly session: string
}

/** One server of the grid, with a client of it. */
export class GridServer {
  readonly process: ServeProcess
  readonly adminPort: number
  readonly port: number
  readonly client: RespClient

  private constructor(process: ServeProcess, ports: { port: number; adminPort: number }, client: RespClient) {
    this.process = process
    this.port = ports.port
    this.adminPort = ports.adminPort
    this.client = client
  }

  static async start(args: readonly string[]): Promise<GridServer> {
    const process = new ServeProcess(args)
    const ports = await process.ready()
    return new GridServer(process, ports, await RespClient.connect(ports.port, { resp: 3 }))
  }

  async read(key: string, ...options: string[]): Promise<Answer> {
    const reply = await this.client.command('TM.READ', key, ...options)
    assert.ok(reply instanceof Map, String(reply))
    return Object.fromEntries(reply as Map<string, unknown>) as unknown as Answer
  }

  /** Of the database, as TM.STATUS tells it. */
  async status(): Promise<Record<string, unknown>> {
    const reply = (await this.client.command('TM.STATUS')) as Map<string, unknown[]>
    return Object.fromEntries(reply.get('databases')![0] as Map<string, unknown>)
  }

  async http(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}${path}`)
    return { status: response.status, text: await response.text() }
  }

  /** A metric's value, with its label if it has one; 0 when it is not there. */
  async metric(name: string): Promise<number> {
    const { text } = await this.http('/metrics')
    const line = text.split('\n').find(each => each.startsWith(`${name} `))
    return line === undefined ? 0 : Number(line.slice(name.length + 1))
  }

  async stop(): Promise<void> {
    this.client.close()
    // One that was stopped in its tracks hears nothing.
    this.process.child.kill('SIGCONT')
    await this.process.interrupt()
  }
}

export class Grid {
  readonly cluster: RedisCluster
  readonly postgres: PostgresServer
  readonly database: string
  readonly servers: readonly GridServer[]

  /** undefined, after saying so, where there is no Redis or no Postgres to run. */
  static async start(
    t: Pick<TestContext, 'after'>,
    servers: number,
    args: readonly string[] = [],
  ): Promise<Grid | undefined> {
    const cluster = await RedisCluster.start()
    if (cluster === undefined) return undefined
    t.after(() => cluster.close())
    const postgres = await PostgresServer.start()
    if (postgres === undefined) return undefined
    t.after(() => postgres.close())
    const database = await postgres.createDatabase(`
      CREATE TABLE users (id int PRIMARY KEY, name text, visits int NOT NULL DEFAULT 0);
      INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i`)
    const tier = cluster.addresses.map(address => `--tier=valkey://${address}`)
    const all = [`--source=${postgres.url(database)}`, '--keyspace=users', '--threads=1', ...tier, ...args]
    const started = await Promise.all(Array.from({ length: servers }, () => GridServer.start(all)))
    t.after(() => Promise.all(started.map(server => server.stop())))
    const grid = new Grid(cluster, postgres, database, started)
    await grid.fresh()
    return grid
  }

  private constructor(
    cluster: RedisCluster,
    postgres: PostgresServer,
    database: string,
    servers: readonly GridServer[],
  ) {
    this.cluster = cluster
    this.postgres = postgres
    this.database = database
    this.servers = servers
  }

  sql(text: string): Promise<Record<string, unknown>[]> {
    return this.postgres.query(text, [], this.database)
  }

  /** Waits until all lanes are proved to be fresh in these servers. */
  async fresh(servers: readonly GridServer[] = this.servers): Promise<void> {
    for (const server of servers) {
      await within(60_000, 'all lanes are proved to be fresh', async () => {
        const { age } = await server.status()
        return age !== null && (age as number) < 400
      })
    }
  }

  /** The server whose process runs the tide, once one does. */
  async holder(servers: readonly GridServer[] = this.servers): Promise<GridServer> {
    let found: GridServer | undefined
    await within(60_000, 'the tide runs somewhere', async () => {
      for (const server of servers) if ((await server.status())['tide'] === 'runs') found = server
      return found !== undefined
    })
    return found!
  }
}

/** Looks again until `holds`; a deadline so that no test hangs, not a measurement. */
export async function within(ms: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`not within ${ms} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
