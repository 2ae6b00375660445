// A real PostgreSQL on a free loopback port, with logical decoding switched on and its data in a temporary folder: started,
// stopped, killed, frozen, restarted, followed by standbys and failed over. It runs as a user that is not root, since it
// refuses to be root. A test that dies, however it dies, takes its server with it.
// Not for: what is in the database (the tests).
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from './redis-server.ts'

export interface PostgresOptions {
  /** Lines of postgresql.conf, over those below. */
  readonly settings?: Readonly<Record<string, string>>
  /** Commits survive a crash of the machine. Off by default, which is faster; killing processes loses nothing either way. */
  readonly durable?: boolean
}

export interface StandbyOptions {
  /** The primary's commits wait for this standby. */
  readonly synchronous: boolean
}

/** One row, its values as pg parses them. */
export type Row = Record<string, unknown>

const settings: Readonly<Record<string, string>> = {
  listen_addresses: "'127.0.0.1'",
  unix_socket_directories: "''",
  wal_level: 'logical',
  max_connections: '60',
  max_wal_senders: '40',
  max_replication_slots: '100',
  shared_buffers: '32MB',
  // Small and early, so that WAL is recycled within a test where a test wants that.
  min_wal_size: '32MB',
  log_min_messages: 'warning',
  max_prepared_transactions: '5',
}

const ATTEMPTS = 5
const READY_POLLS = 1500
const READY_POLL_MS = 20
const binariesFolder = '/usr/lib/postgresql'

// The shell ends the server as soon as its own input ends. Ended children are no zombies: the server is waited for.
const script = `"$@" </dev/null & server=$!; echo $server; trap 'kill -9 $server 2>/dev/null' EXIT; cat >/dev/null`

/** The newest installation's binaries, or undefined. */
function findBinaries(): string | undefined {
  const versions = existsSync(binariesFolder) ? readdirSync(binariesFolder).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map(version => join(binariesFolder, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ]
  return folders.find(folder => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')))
}

/** Whether PostgreSQL can be run here; says so loudly, or throws with TIDEMARK_NO_SKIP=1, when it cannot. */
export function postgresInstalled(): boolean {
  if (findBinaries() !== undefined) return true
  const message = 'PostgreSQL is not installed: what needs a real one does not run'
  if (process.env['TIDEMARK_NO_SKIP'] === '1') throw new Error(message)
  console.error(`!!!! SKIPPED: ${message}`)
  return false
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** Whom the server runs as: undefined means whoever runs the test. */
function serverUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find(line => line.startsWith(`${name}:`))?.split(':')
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error('PostgreSQL refuses to run as root, and there is no user postgres or nobody')
}

export class PostgresServer {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly folder: string
  /** The standby's own name towards its primary. */
  readonly name: string
  readonly #binaries: string
  readonly #user: User | undefined
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined
  #pid: number | undefined
  #pool: pg.Pool | undefined
  #databases = 0

  /** Starts an empty server; undefined when PostgreSQL is not installed. */
  static async start(options: PostgresOptions = {}): Promise<PostgresServer | undefined> {
    if (!postgresInstalled()) return undefined
    const server = await PostgresServer.#make()
    server.#run('initdb', ['-D', server.dataFolder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'])
    server.#configure({ ...settings, fsync: options.durable === true ? 'on' : 'off', ...options.settings })
    await server.start()
    return server
  }

  static async #make(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-postgres-'))
    return new PostgresServer(folder, await freePort())
  }

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.name = `standby_${port}`
    this.#binaries = findBinaries()!
    this.#user = serverUser()
    if (this.#user !== undefined) chownSync(folder, this.#user.uid, this.#user.gid)
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  /** Of the postmaster. */
  get pid(): number {
    if (this.#pid === undefined) throw new Error('the server is not running')
    return this.#pid
  }

  get running(): boolean {
    return this.#pid !== undefined
  }

  url(database = 'postgres', user = 'postgres'): string {
    return `postgres://${user}@${this.host}:${this.port}/${database}`
  }

  /** Starts it again after `stop` or `kill`, on the same data and port. */
  async start(): Promise<void> {
    // A killed server's port or shared memory may be held for a moment yet.
    for (let attempt = 0; ; attempt++) {
      if (await this.#startOnce()) return
      if (attempt === ATTEMPTS) throw new Error(`PostgreSQL did not start:\n${this.log().slice(-3000)}`)
      await wait(100)
    }
  }

  async #startOnce(): Promise<boolean> {
    const command = [join(this.#binaries, 'postgres'), '-D', this.dataFolder, '-p', String(this.port)]
    const child = spawn('sh', ['-c', `exec 2>>"${join(this.folder, 'log')}"; ${script}`, 'sh', ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
      cwd: this.folder,
      ...this.#user,
    })
    this.#child = child
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    this.#pid = Number(line.toString())
    for (let poll = 0; poll < READY_POLLS; poll++) {
      const state = spawnSync(join(this.#binaries, 'pg_isready'), [
        '-q',
        '-h',
        this.host,
        '-p',
        String(this.port),
      ]).status
      if (state === 0) return true
      if (!isAlive(this.#pid)) break
      await wait(READY_POLL_MS)
    }
    await this.#reap()
    return false
  }

  /** Runs SQL as the superuser. */
  async query<Found extends Row = Row>(
    sql: string,
    values: readonly unknown[] = [],
    database?: string,
  ): Promise<Found[]> {
    if (database !== undefined && database !== 'postgres') return this.#queryOnce<Found>(sql, values, database)
    if (this.#pool === undefined) {
      this.#pool = new pg.Pool({ connectionString: this.url(), max: 4, allowExitOnIdle: true })
      // An idle connection that a killed server breaks is no failure of the test.
      this.#pool.on('error', () => {})
    }
    return (await this.#pool.query<Found>(sql, [...values])).rows
  }

  async #queryOnce<Found extends Row>(sql: string, values: readonly unknown[], database: string): Promise<Found[]> {
    const client = await this.connect(database)
    try {
      return (await client.query<Found>(sql, [...values])).rows
    } finally {
      await client.end()
    }
  }

  /** A connection of one's own; the caller ends it. */
  async connect(database?: string, user?: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url(database, user) })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** A new database with `sql` run in it. Returns its name. */
  async createDatabase(sql = ''): Promise<string> {
    const name = `test_${++this.#databases}`
    await this.query(`CREATE DATABASE ${name}`)
    if (sql !== '') await this.query(sql, [], name)
    return name
  }

  /** fast: clients are cut off; immediate: no shutdown checkpoint, so that the next start recovers as after a crash. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (this.#pid === undefined) return
    await this.#dropPool()
    process.kill(this.#pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    while (isAlive(this.#pid)) await wait(10)
    await this.#reap()
  }

  /** kill -9 of the postmaster and all its processes at once. */
  async kill(): Promise<void> {
    const pids = this.#processes()
    for (const pid of pids) signal(pid, 'SIGKILL')
    while (pids.some(isAlive)) await wait(5)
    await this.#reap()
    await this.#dropPool()
  }

  /** Freezes all its processes; sockets stay open and nobody answers. */
  pause(): void {
    for (const pid of this.#processes()) signal(pid, 'SIGSTOP')
  }

  resume(): void {
    for (const pid of this.#processes()) signal(pid, 'SIGCONT')
  }

  /** A streaming copy of this server on a port of its own, caught up. It takes over by `promote`. */
  async standby(options: StandbyOptions): Promise<PostgresServer> {
    const standby = await PostgresServer.#make()
    const from = ['-h', this.host, '-p', String(this.port), '-U', 'postgres']
    standby.#run('pg_basebackup', ['-D', standby.dataFolder, ...from, '-X', 'stream', '-c', 'fast', '-N'])
    const primary = `host=${this.host} port=${this.port} user=postgres application_name=${standby.name}`
    standby.#configure({ primary_conninfo: `'${primary}'`, hot_standby: 'on', synchronous_standby_names: "''" })
    standby.#run('touch', [join(standby.dataFolder, 'standby.signal')])
    await standby.start()
    const streaming = `SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'`
    while ((await this.query(streaming, [standby.name])).length === 0) await wait(20)
    if (options.synchronous) await this.set({ synchronous_standby_names: `'"${standby.name}"'` })
    return standby
  }

  /** Makes a standby the primary of a new timeline. Its old primary is not told. */
  async promote(): Promise<void> {
    await this.query('SELECT pg_promote(true, 60)')
    while ((await this.query('SELECT pg_is_in_recovery() AS standby'))[0]!['standby'] === true) await wait(10)
  }

  /** Settings that take effect by a reload. */
  async set(changed: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(changed)) await this.query(`ALTER SYSTEM SET ${name} = ${value}`)
    await this.query('SELECT pg_reload_conf()')
    await wait(50)
  }

  /** What the server wrote to its log. */
  log(): string {
    const file = join(this.folder, 'log')
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  /** Ends it, in whatever state it is, and removes its data. */
  async close(): Promise<void> {
    if (this.#pid !== undefined) await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #dropPool(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    await pool?.end()
  }

  async #reap(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    this.#pid = undefined
    if (child === undefined) return
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
    child.stdin.end()
    await ended
  }

  /** The postmaster and its children, each of which leads a process group of its own. */
  #processes(): number[] {
    const { pid } = this
    const lines = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout.split('\n')
    const pairs = lines.map(line => line.trim().split(/\s+/).map(Number))
    return [pid, ...pairs.filter(([, parent]) => parent === pid).map(([child]) => child!)]
  }

  #configure(lines: Readonly<Record<string, string>>): void {
    const text = Object.entries(lines)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name} = ${value}\n`)
      .join('')
    this.#run('sh', ['-c', 'printf %s "$1" >> "$2"', 'sh', text, join(this.dataFolder, 'postgresql.conf')])
  }

  /** Runs a program as the server's user. */
  #run(program: string, args: readonly string[]): void {
    const path = existsSync(join(this.#binaries, program)) ? join(this.#binaries, program) : program
    const done = spawnSync(path, args, { cwd: this.folder, encoding: 'utf8', ...this.#user })
    if (done.status !== 0) throw new Error(`${program} failed: ${done.error?.message ?? ''} ${done.stderr}`)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone already.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  // An ended process that nobody has waited for yet still has its number.
  const state = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  return state !== '' && !state.startsWith('Z')
}
