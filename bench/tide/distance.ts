// Servers of this machine as if they were further away: a thread passes on what is sent to them and what they answer, each so
// much later. Network namespaces would do it better, where the kernel has netem; the machine of our figures has not.
// Not for: how it is passed on (distance-main.ts).
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Plain data: it travels to the thread. */
export interface DistancePlan {
  readonly oneWayMs: number
  /** Of 127.0.0.1. */
  readonly ports: readonly number[]
}

export class Distance {
  readonly #worker: Worker
  readonly #ports: ReadonlyMap<number, number>

  static async open(plan: DistancePlan): Promise<Distance> {
    const worker = new Worker(new URL('./distance-main.ts', import.meta.url), { workerData: plan })
    const [opened] = (await once(worker, 'message')) as [number[]]
    return new Distance(worker, new Map(plan.ports.map((port, i) => [port, opened[i]!])))
  }

  private constructor(worker: Worker, ports: ReadonlyMap<number, number>) {
    this.#worker = worker
    this.#ports = ports
  }

  /** Where the server is reached that listens there; `address` is `host:port`, or a URL with it. */
  to(address: string): string {
    return address.replace(/:(\d+)(?=\/|$)/, (_, port: string) => `:${this.#ports.get(Number(port))}`)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
