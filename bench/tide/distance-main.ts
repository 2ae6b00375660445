// The thread of distance.ts: passes bytes on between a client and a server, each way so much later than they came. A timer of Node
// is a millisecond late; so while anything is on its way this thread sleeps a tenth of one at a time, and looks.
// Not for: loss, bandwidth (bytes keep their order, and nothing else happens to them).
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import type { DistancePlan } from './distance.ts'

interface Passing {
  readonly dueMs: number
  readonly bytes: Buffer
  readonly to: Socket
}

const SLEEP_MS = 0.1

class Road {
  readonly #oneWayMs: number
  /** In the order in which they arrive: all take as long. */
  readonly #onTheWay: Passing[] = []
  readonly #never = new Int32Array(new SharedArrayBuffer(4))

  constructor(oneWayMs: number) {
    this.#oneWayMs = oneWayMs
  }

  join(from: Socket, to: Socket): void {
    from.setNoDelay(true)
    from.on('data', (bytes: Buffer) => {
      if (this.#onTheWay.length === 0) setImmediate(() => this.#pass())
      this.#onTheWay.push({ dueMs: performance.now() + this.#oneWayMs, bytes, to })
    })
    from.on('error', () => {})
    from.on('close', () => to.destroy())
  }

  #pass(): void {
    const nowMs = performance.now()
    while (this.#onTheWay.length > 0 && this.#onTheWay[0]!.dueMs <= nowMs) {
      const { to, bytes } = this.#onTheWay.shift()!
      if (!to.destroyed) to.write(bytes)
    }
    const next = this.#onTheWay[0]
    if (next === undefined) return
    Atomics.wait(this.#never, 0, 0, Math.min(SLEEP_MS, next.dueMs - nowMs))
    setImmediate(() => this.#pass())
  }
}

const { oneWayMs, ports } = workerData as DistancePlan
const road = new Road(oneWayMs)
const opened = await Promise.all(
  ports.map(
    port =>
      new Promise<number>(resolve => {
        const server = createServer(client => {
          const upstream = connect(port, '127.0.0.1')
          road.join(client, upstream)
          road.join(upstream, client)
        })
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
      }),
  ),
)
parentPort!.postMessage(opened)
