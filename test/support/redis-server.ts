// A real redis-server on a free loopback port, with nothing on disk, to compare with. Undefined where none is installed:
// a test then says so by being skipped, which TIDEMARK_NO_SKIP=1 turns into a failure.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

export interface RedisServer {
  readonly port: number
  stop(): Promise<void>
}

const ATTEMPTS = 5
const READY_POLLS = 500
const READY_POLL_MS = 10

/** Whether redis-server can be run here; says so loudly, or throws with TIDEMARK_NO_SKIP=1, when it cannot. */
export function redisInstalled(): boolean {
  if (spawnSync('redis-server', ['--version']).status === 0) return true
  const message = 'redis-server is not installed: comparisons with the real Redis do not run'
  if (process.env['TIDEMARK_NO_SKIP'] === '1') throw new Error(message)
  console.error(`!!!! SKIPPED: ${message}`)
  return false
}

/** Ports that the system gives to nobody of its own choice, neither to who listens on port 0 nor to who connects. */
const OWN_PORTS = { first: 12_000, end: 32_000 }

/** Each process begins at a place of its own, and comes to another's only after so many ports. */
const PORTS_APART = 64
let portsAsked = process.pid * PORTS_APART

/** A port that nobody has, and that nobody else will have by chance before the server that it is for listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = OWN_PORTS.first + (portsAsked++ % (OWN_PORTS.end - OWN_PORTS.first))
    const server = createServer()
    const free = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise(resolve => server.close(resolve))
    return port
  }
}

// The shell ends the server as soon as its input ends: a test that dies, however it dies, takes its server with it.
const script = `redis-server "$@" </dev/null & server=$!; trap 'kill -9 $server' EXIT; cat >/dev/null`

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.write('PING\r\n'))
    // Any reply will do: with a password it is an error.
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function startOnce(args: readonly string[]): Promise<RedisServer | undefined> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-redis-'))
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no']
  const child = spawn('sh', ['-c', script, 'sh', ...settings, ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.stdin.end()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  for (let poll = 0; poll < READY_POLLS; poll++) {
    if (await answers(port)) return { port, stop }
    await wait(READY_POLL_MS)
  }
  await stop()
  return undefined
}

/** Starts redis-server with further arguments such as `['--requirepass', 'x']`; undefined when it is not installed. */
export async function startRedis(args: readonly string[] = []): Promise<RedisServer | undefined> {
  if (!redisInstalled()) return undefined
  // Another process may take the port between finding it and listening.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const server = await startOnce(args)
    if (server !== undefined) return server
  }
  throw new Error(`redis-server does not start with ${args.join(' ')}`)
}
