// A whole deployment from the machine's own binaries: a cluster of three primaries with a replica each, a Postgres with
// wal_level=logical, three Tidemark servers over both, and services with the library in them.
// Where the machine allows network namespaces every node and every
// server has one of its own, so that they can be cut off from each other.
// Not for: what goes wrong with it (faults.ts), and who starts it by hand (grid-main.ts).
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { loopback, Namespaces } from '../support/namespaces.ts'
import type { Place } from '../support/namespaces.ts'
import { PostgresServer, postgresInstalled } from '../support/postgres.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { TidemarkProcess } from '../support/tidemark-process.ts'
import { demoTableSql, keyspace } from './demo-table.ts'
import type { DemoTable } from './demo-table.ts'
import { LibraryProcess } from './library-process.ts'

export interface GridOptions {
  /** For logs and state. It has to be there. */
  readonly folder: string
  readonly table: DemoTable
  /** Give every node and server a network namespace, where the machine allows it. */
  readonly namespaces: boolean
  /** cluster-node-timeout of the cluster. */
  readonly nodeTimeoutMs?: number
  readonly threads?: number
  /** Services with the library in them, beside the servers; none unless said otherwise. */
  readonly libraries?: number
  readonly progress: (line: string) => void
  /** Told of everything that runs so far, and of its folders, each time that there is more. */
  readonly started?: (parts: readonly GridPart[], folders: readonly string[]) => void
}

export interface GridPart {
  readonly name: string
  readonly pid: number
  readonly host: string
  readonly port: number
}

const PRIMARIES = 3
const NODES = 6
const SERVERS = 3
/** Of nodes of the cluster that a library process is told of. */
const SEEDS = 3
const PASSWORD = 'grid'
export const slot = 'tidemark'

/** What is not installed, as a text that says what to do; undefined when everything is. */
export function missingBinaries(): string | undefined {
  const missing = [
    redisInstalled() ? '' : 'redis-server (Redis 7 or later, or Valkey under this name)',
    postgresInstalled() ? '' : 'PostgreSQL (initdb and postgres)',
  ].filter(name => name !== '')
  if (missing.length === 0) return undefined
  return `not installed: ${missing.join(', ')}. On Debian: apt-get install redis-server postgresql`
}

export class Grid {
  readonly cluster: RedisCluster
  readonly postgres: PostgresServer
  readonly servers: readonly TidemarkProcess[]
  readonly libraries: readonly LibraryProcess[]
  /** Why there are none, as text. */
  readonly namespaces: Namespaces | string
  /** Where the load comes from: cuts between the grid's parts do not concern it. */
  readonly loadHost: string | undefined
  readonly password: string | undefined

  private constructor(
    cluster: RedisCluster,
    postgres: PostgresServer,
    servers: readonly TidemarkProcess[],
    libraries: readonly LibraryProcess[],
    namespaces: Namespaces | string,
  ) {
    this.cluster = cluster
    this.postgres = postgres
    this.servers = servers
    this.libraries = libraries
    this.namespaces = namespaces
    this.loadHost = typeof namespaces === 'string' ? undefined : namespaces.aside
    this.password = typeof namespaces === 'string' ? undefined : PASSWORD
  }

  static async start(options: GridOptions): Promise<Grid> {
    const namespaces = options.namespaces ? Namespaces.open() : 'not asked for'
    const open = typeof namespaces === 'string' ? undefined : namespaces
    const closers: (() => Promise<void> | void)[] = []
    const parts: GridPart[] = []
    const folders: string[] = []
    const started = (more: readonly GridPart[], moreFolders: readonly string[] = []): void => {
      parts.push(...more)
      folders.push(...moreFolders)
      options.started?.(parts, folders)
    }
    try {
      if (open !== undefined) closers.push(() => open.close())
      mkdirSync(join(options.folder, 'servers'), { recursive: true })
      options.progress('starting PostgreSQL')
      const postgres = await startPostgres(open)
      closers.push(() => postgres.close())
      const host = open?.outside.host ?? postgres.host
      started([{ name: 'postgres', pid: postgres.pid, host, port: postgres.port }], [postgres.folder])
      await postgres.query(demoTableSql(options.table))
      options.progress('starting a cluster of six redis-server: three primaries, three replicas')
      const cluster = await startCluster(options, open)
      closers.push(() => cluster.close())
      const nodeFolders = cluster.nodes.map(node => node.process.folder)
      started(cluster.nodes.map(({ pid, port, host }, index) => ({ name: `node-${index + 1}`, pid, host, port })), nodeFolders) // prettier-ignore
      const servers: TidemarkProcess[] = []
      closers.push(async () => void (await Promise.all(servers.map(server => server.close()))))
      const url = `postgres://postgres@${host}:${postgres.port}/postgres`
      for (let number = 1; number <= SERVERS; number++) {
        options.progress(`starting Tidemark server ${number} of ${SERVERS}`)
        const server = await startServer(options, open, number, cluster, url)
        servers.push(server)
        started([{ name: server.name, pid: server.pid, host: server.place.host, port: server.port }])
      }
      const libraries: LibraryProcess[] = []
      closers.push(async () => void (await Promise.all(libraries.map(library => library.close()))))
      for (let number = 1; number <= (options.libraries ?? 0); number++) {
        options.progress(`starting library process ${number} of ${options.libraries}`)
        const library = await startLibrary(options, open, number, cluster, url)
        libraries.push(library)
        started([{ name: library.name, pid: library.pid, host: library.place.host, port: 0 }])
      }
      return new Grid(cluster, postgres, servers, libraries, namespaces)
    } catch (error) {
      for (const close of closers.reverse()) await close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.postgres.resume()
    for (const node of this.cluster.nodes) node.process.resume()
    await Promise.all([...this.servers, ...this.libraries].map(each => each.close()))
    await this.cluster.close()
    await this.postgres.close()
    if (typeof this.namespaces !== 'string') this.namespaces.close()
  }
}

async function startPostgres(namespaces: Namespaces | undefined): Promise<PostgresServer> {
  const outside = namespaces?.outside.host
  const addresses = outside === undefined ? '127.0.0.1' : `127.0.0.1,${outside}`
  const settings = { listen_addresses: `'${addresses}'`, max_connections: '150', shared_buffers: '64MB' }
  const postgres = (await PostgresServer.start({ settings }))!
  if (outside !== undefined) {
    const subnet = outside.replace(/\d+$/, '0/24')
    const lines = `host all all ${subnet} trust\nhost replication all ${subnet} trust\n`
    appendFileSync(join(postgres.dataFolder, 'pg_hba.conf'), lines)
    await postgres.query('SELECT pg_reload_conf()')
  }
  return postgres
}

async function startCluster(options: GridOptions, namespaces: Namespaces | undefined): Promise<RedisCluster> {
  const places: readonly Place[] | undefined = namespaces && Array.from({ length: NODES }, () => namespaces.make())
  const started = await RedisCluster.start({
    primaries: PRIMARIES,
    replicas: 1,
    nodeTimeoutMs: options.nodeTimeoutMs ?? 2_000,
    ...(places === undefined ? {} : { places }),
  })
  return started!
}

function startServer(
  options: GridOptions,
  namespaces: Namespaces | undefined,
  number: number,
  cluster: RedisCluster,
  url: string,
): Promise<TidemarkProcess> {
  const seeds = cluster.addresses.flatMap(address => ['--tier', `valkey://${address}`])
  const shape = ['--threads', String(options.threads ?? 1), '--memory', '64mb']
  return TidemarkProcess.start({
    name: `tidemark-${number}`,
    folder: join(options.folder, 'servers'),
    args: [...seeds, '--source', url, '--keyspace', keyspace, ...shape],
    place: namespaces?.make() ?? loopback,
    password: namespaces === undefined ? undefined : PASSWORD,
  })
}

function startLibrary(
  options: GridOptions,
  namespaces: Namespaces | undefined,
  number: number,
  cluster: RedisCluster,
  database: string,
): Promise<LibraryProcess> {
  const { rows, passing } = options.table
  const tier = cluster.addresses.slice(0, SEEDS).map(address => `valkey://${address}`)
  return LibraryProcess.start({
    name: `library-${number}`,
    folder: join(options.folder, 'servers'),
    place: namespaces?.make() ?? loopback,
    setup: { tier, database, keys: rows + passing, rows, seed: number },
  })
}
