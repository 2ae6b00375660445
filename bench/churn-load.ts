// Sends churn to a server over a few connections, in pipelines, as fast as it takes it. Replies are only counted: that values
// are right is what other tests are for.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { seededRandom } from '../src/base/random.ts'
import { CHURN_BYTES_MAX, ChurnOperations } from './churn-operations.ts'
import type { ChurnOptions } from './churn-operations.ts'

export interface ChurnLoad extends ChurnOptions {
  readonly port: number
  readonly operations: number
  readonly connections: number
}

export interface ChurnCounts {
  operations: number
  /** Bytes of values that were written. */
  bytesWritten: number
  errors: number
  firstError: string
}

const PIPELINE = 64
const PIPELINE_BYTES = 262_144
const CR = 0x0d
const LF = 0x0a
const DASH = 0x2d
const DOLLAR = 0x24

/** Counts replies that are lines or bulk strings, from chunks cut anywhere. */
class ReplyCounter {
  replies = 0
  errors = 0
  firstError = ''
  #line = ''
  #skip = 0

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        at += skipped
        if (this.#skip === 0) this.replies++
        continue
      }
      const end = chunk.indexOf(LF, at)
      if (end < 0) {
        this.#line += chunk.toString('latin1', at)
        return
      }
      if (this.#line === '' && chunk[at] !== DASH && chunk[at] !== DOLLAR) this.replies++
      else this.#lineEnds(this.#line + chunk.toString('latin1', at, chunk[end - 1] === CR ? end - 1 : end))
      this.#line = ''
      at = end + 1
    }
  }

  #lineEnds(line: string): void {
    if (line.startsWith('$') && !line.startsWith('$-1')) {
      this.#skip = Number.parseInt(line.slice(1), 10) + 2
      return
    }
    this.replies++
    if (!line.startsWith('-')) return
    this.errors++
    this.firstError ||= line
  }
}

class ChurnConnection {
  readonly counter = new ReplyCounter()
  readonly #operations: ChurnOperations
  readonly #value = Buffer.alloc(CHURN_BYTES_MAX, 'churn')
  readonly #counts: ChurnCounts
  readonly #load: ChurnLoad

  constructor(load: ChurnLoad, index: number, counts: ChurnCounts) {
    this.#load = load
    this.#counts = counts
    this.#operations = new ChurnOperations(seededRandom(load.seed * 1_000 + index), load)
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#load.port, host: '127.0.0.1', noDelay: true })
      let asked = 0
      const next = (): void => {
        if (this.#counts.operations < this.#load.operations) asked += this.#send(socket)
        else {
          socket.destroy()
          resolve()
        }
      }
      socket.on('connect', next)
      socket.on('data', (chunk: Buffer) => {
        this.counter.push(chunk)
        if (this.counter.replies === asked) next()
      })
      socket.on('error', reject)
      socket.on('close', () => reject(new Error(`the server closed a connection after ${asked} operations`)))
    })
  }

  /** Returns how many were sent. */
  #send(socket: Socket): number {
    let count = 0
    let bytes = 0
    socket.cork()
    for (; count < PIPELINE && bytes < PIPELINE_BYTES; count++) {
      this.#operations.next()
      const { kind, valueBytes } = this.#operations
      const writes = kind === 'set' || kind === 'setex' || kind === 'append'
      socket.write(this.#headOf(), 'latin1')
      if (!writes) continue
      socket.write(this.#value.subarray(0, valueBytes))
      socket.write('\r\n', 'latin1')
      bytes += valueBytes
    }
    socket.uncork()
    this.#counts.operations += count
    this.#counts.bytesWritten += bytes
    return count
  }

  /** The request, up to its value if it has one. */
  #headOf(): string {
    const { kind, key, valueBytes, ttlMs } = this.#operations
    const name = `churn:${key}`
    const asked = `$${name.length}\r\n${name}\r\n`
    const ttl = String(ttlMs)
    const lives = `$${ttl.length}\r\n${ttl}\r\n`
    switch (kind) {
      case 'set':
        return `*3\r\n$3\r\nSET\r\n${asked}$${valueBytes}\r\n`
      case 'setex':
        return `*4\r\n$6\r\nPSETEX\r\n${asked}${lives}$${valueBytes}\r\n`
      case 'append':
        return `*3\r\n$6\r\nAPPEND\r\n${asked}$${valueBytes}\r\n`
      case 'expire':
        return `*3\r\n$7\r\nPEXPIRE\r\n${asked}${lives}`
      case 'get':
      case 'del':
        return `*2\r\n$3\r\n${kind}\r\n${asked}`
    }
  }
}

/** Resolves once all operations were answered. */
export async function applyChurn(load: ChurnLoad, progress?: (done: number) => void): Promise<ChurnCounts> {
  const counts: ChurnCounts = { operations: 0, bytesWritten: 0, errors: 0, firstError: '' }
  const connections = Array.from({ length: load.connections }, (_, index) => new ChurnConnection(load, index, counts))
  const timer = progress === undefined ? undefined : setInterval(() => progress(counts.operations), 500)
  try {
    await Promise.all(connections.map(connection => connection.run()))
  } finally {
    clearInterval(timer)
  }
  for (const { counter } of connections) {
    counts.errors += counter.errors
    counts.firstError ||= counter.firstError
  }
  return counts
}
