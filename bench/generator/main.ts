// The load generator, a process of its own: `node bench/generator/main.ts PLAN`, PLAN being JSON as in plan.ts; the outcome
// is printed as JSON. It is there for what redis-benchmark cannot do: another protocol, reads and writes mixed, filling keys
// in order, and an open load. Plain keys and their numbers are the same as redis-benchmark's.
//
// An open load does not wait for answers before it asks again: a server that stops for 100 ms finds all requests of those
// 100 ms waiting, and each of them counts from when it was due (no coordinated omission).
import { connect } from 'node:net'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { ReplyCounter } from './reply-counter.ts'
import { Requests } from './requests.ts'
import type { Outcome, Plan } from './plan.ts'

const DRAIN_MS_MAX = 10_000
const PING = Buffer.from('PING\r\n')
/** Memcached has no PING; this is its nearest. */
const MEMCACHED_PING = Buffer.from('mn\r\n')

/** xorshift32: fast, seeded, and even enough to choose keys by. */
class Keys {
  readonly #count: number
  #state: number

  constructor(seed: number, count: number) {
    this.#state = seed | 1
    this.#count = count
  }

  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % this.#count
  }
}

async function open(port: number, clients: number): Promise<Socket[]> {
  const sockets = Array.from({ length: clients }, () => connect({ port, host: '127.0.0.1', noDelay: true }))
  for (const socket of sockets) {
    socket.on('error', fail)
    if (socket.connecting) await once(socket, 'connect')
  }
  return sockets
}

function fail(error: unknown): void {
  process.stderr.write(`generator: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}

/** Batches on each connection, one after another, until `requests` have been answered. */
async function closed(plan: Plan, requests: number, nextKey: () => number): Promise<Outcome> {
  const sockets = await open(plan.port, plan.clients)
  const startedMs = performance.now()
  let unsent = requests
  let misses = 0
  await Promise.all(
    sockets.map(socket => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const writer = new Requests(plan.protocol, plan.command, plan.prefix, 'x'.repeat(plan.valueBytes))
      const replies = new ReplyCounter(plan.protocol)
      const batch = Buffer.allocUnsafe(writer.bytesMax * plan.pipeline)
      let outstanding = 0
      const send = (): void => {
        outstanding = Math.min(plan.pipeline, unsent)
        unsent -= outstanding
        let at = 0
        for (let i = 0; i < outstanding; i++) at = writer.write(batch, at, nextKey())
        if (outstanding > 0) socket.write(batch.subarray(0, at))
        else {
          misses += replies.misses
          resolve()
        }
      }
      socket.on('data', (chunk: Buffer) => {
        try {
          outstanding -= replies.feed(chunk)
          if (outstanding === 0) send()
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
      socket.on('close', () => reject(new Error('the server closed a connection')))
      send()
      return promise
    }),
  )
  const seconds = (performance.now() - startedMs) / 1000
  for (const socket of sockets) socket.destroy()
  return { requests, seconds, misses }
}

/** What is under way on a connection: when each request was due, oldest first. */
class Waiting {
  readonly socket: Socket
  readonly #due: number[] = []
  #head = 0

  constructor(socket: Socket, plan: Plan, answered: (dueMs: number, nowMs: number) => void) {
    this.socket = socket
    const replies = new ReplyCounter(plan.protocol)
    socket.on('data', (chunk: Buffer) => {
      try {
        const count = replies.feed(chunk)
        const nowMs = performance.now()
        for (let i = 0; i < count; i++) answered(this.#due[this.#head++]!, nowMs)
        if (this.#head < this.#due.length) return
        this.#due.length = 0
        this.#head = 0
      } catch (error) {
        fail(error)
      }
    })
    socket.on('close', () => {
      if (!socket.destroyed) fail(new Error('the server closed a connection'))
    })
  }

  sent(dueMs: number): void {
    this.#due.push(dueMs)
  }
}

async function drained(missing: () => number): Promise<void> {
  const limitMs = performance.now() + DRAIN_MS_MAX
  while (missing() > 0) {
    if (performance.now() > limitMs) throw new Error(`${missing()} requests were not answered`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

async function openLoad(plan: Plan, rate: number, seconds: number): Promise<Outcome> {
  const sockets = await open(plan.port, plan.clients + 1)
  const latencies = new Float64Array(Math.ceil(rate * seconds) + plan.pipeline)
  const lateness = new Float64Array(latencies.length)
  let sent = 0
  let received = 0
  let probeMaxMs = 0
  let generatorGapMs = 0
  let probes = 0
  const connections = sockets.slice(1).map(
    socket =>
      new Waiting(socket, plan, (dueMs, nowMs) => {
        latencies[received++] = nowMs - dueMs
      }),
  )
  const probe = new Waiting(sockets[0]!, plan, (dueMs, nowMs) => {
    probeMaxMs = Math.max(probeMaxMs, nowMs - dueMs)
  })
  const ping = plan.protocol === 'memcached' ? MEMCACHED_PING : PING
  const keys = new Keys(plan.seed, plan.keys)
  const writer = new Requests(plan.protocol, plan.command, plan.prefix, 'x'.repeat(plan.valueBytes))
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  const batchMs = (plan.pipeline * 1000) / rate
  let lastMs = startMs
  for (let batches = 0; ;) {
    const nowMs = performance.now()
    generatorGapMs = Math.max(generatorGapMs, nowMs - lastMs)
    lastMs = nowMs
    if (nowMs >= endMs) break
    for (; startMs + probes <= nowMs; probes++) {
      probe.sent(startMs + probes)
      probe.socket.write(ping)
    }
    for (let dueMs = startMs + batches * batchMs; dueMs <= nowMs; dueMs = startMs + ++batches * batchMs) {
      const connection = connections[batches % connections.length]!
      // A buffer for each batch: the last one may still be on its way.
      const batch = Buffer.allocUnsafe(writer.bytesMax * plan.pipeline)
      let at = 0
      for (let i = 0; i < plan.pipeline; i++) {
        at = writer.write(batch, at, keys.next())
        connection.sent(dueMs)
      }
      connection.socket.write(batch.subarray(0, at))
      lateness.fill(performance.now() - dueMs, sent, sent + plan.pipeline)
      sent += plan.pipeline
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  await drained(() => sent - received)
  const sorted = latencies.subarray(0, received).sort()
  const at = (share: number): number => sorted[Math.min(received - 1, Math.floor(received * share))]!
  const sentLateP99Ms = lateness.subarray(0, sent).sort()[Math.min(sent - 1, Math.floor(sent * 0.99))]!
  const shares = { p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: at(1) }
  const latency = { ...shares, probeMaxMs, generatorGapMs, sentLateP99Ms }
  for (const socket of sockets) socket.destroy()
  return { requests: received, seconds, misses: 0, latency }
}

async function main(): Promise<void> {
  const plan = JSON.parse(process.argv[2]!) as Plan
  const { mode } = plan
  const keys = new Keys(plan.seed, plan.keys)
  let filled = mode.kind === 'fill' ? mode.from : 0
  const outcome =
    mode.kind === 'open'
      ? await openLoad(plan, mode.rate, mode.seconds)
      : mode.kind === 'closed'
        ? await closed(plan, mode.requests, () => keys.next())
        : await closed(plan, plan.keys - mode.from, () => filled++)
  process.stdout.write(JSON.stringify(outcome))
}

await main().catch(fail)
