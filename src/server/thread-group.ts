// The server threads, from the supervisor's side: starts them, passes messages, and replaces one that died. What a dead
// thread held in the store is freed before its successor starts. Not for: what a thread does (thread.ts).
//
//   spawn --> started --> (stop) --> stopped --> exit
//                `--> exit without having been asked to: recover its locks, count, log, spawn again
import { Worker, type Transferable } from 'node:worker_threads'
import type { Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { DeathCount } from './death-count.ts'
import { PeerExchange } from './peers.ts'
import type { SnapshotAnswer, SnapshotRequest } from './snapshots.ts'
import type { DatabaseLink, FromThread, ThreadStart, ToThread } from './thread-messages.ts'

export interface ThreadGroupParts {
  readonly entry: URL
  readonly clock: Clock
  readonly log: (line: string) => void
  /** What every thread is started with; its own number and ports are added. */
  readonly start: Omit<ThreadStart, 'thread' | 'databases'>
  readonly threads: number
  /** New ports to the databases' threads, for one server thread. */
  readonly linkDatabases: () => DatabaseLink[]
  /** Frees what a dead thread held; returns what there is to say of it. */
  readonly recover: (thread: number) => string
  /** Rejects with a TidemarkError. */
  readonly requestSnapshot: (request: SnapshotRequest) => Promise<SnapshotAnswer>
  /** So many threads listen now. */
  readonly readyChanged: (ready: number) => void
  /** Threads die faster than it makes sense to replace them. The group has stopped replacing. */
  readonly gaveUp: (error: TidemarkError) => void
}

interface Running {
  readonly worker: Worker
  ready: boolean
}

export class ThreadGroup {
  readonly #parts: ThreadGroupParts
  readonly #running = new Map<number, Running>()
  readonly #exchange: PeerExchange
  readonly #deaths = new DeathCount()
  #stopping = false
  #whenNone: (() => void) | undefined

  private constructor(parts: ThreadGroupParts) {
    this.#parts = parts
    this.#exchange = new PeerExchange((thread, message) => this.#send(thread, message))
  }

  /** Resolves once all threads listen; rejects with what kept the first one from it, after ending the others. */
  static async start(parts: ThreadGroupParts): Promise<ThreadGroup> {
    const group = new ThreadGroup(parts)
    try {
      const numbers = Array.from({ length: parts.threads }, (_, index) => index + 1)
      await Promise.all(numbers.map(number => group.#spawn(number)))
      return group
    } catch (thrown) {
      group.#stopping = true
      await Promise.all([...group.#running.values()].map(({ worker }) => worker.terminate()))
      throw thrown
    }
  }

  /** How many threads listen. */
  get ready(): number {
    return [...this.#running.values()].filter(({ ready }) => ready).length
  }

  /** Resolves once the thread listens; rejects when it cannot. After that its death is dealt with here. */
  #spawn(thread: number): Promise<void> {
    const databases = this.#parts.linkDatabases()
    const start: ThreadStart = { ...this.#parts.start, thread, databases }
    const transferList: Transferable[] = databases.map(({ port }) => port)
    const worker = new Worker(this.#parts.entry, { workerData: start, transferList, name: `server ${thread}` })
    const running: Running = { worker, ready: false }
    this.#running.set(thread, running)
    let cause = 'it exited'
    return new Promise((resolve, reject) => {
      let refused: TidemarkError | undefined
      worker.on('message', (message: FromThread) => {
        if (message.kind === 'started') {
          running.ready = true
          this.#parts.readyChanged(this.ready)
          resolve()
        } else if (message.kind === 'failed') refused = TidemarkError.fromJSON(message.error)
        else this.#received(thread, message)
      })
      worker.on('error', thrown => {
        cause = thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown)
      })
      worker.on('exit', () => {
        this.#running.delete(thread)
        this.#parts.readyChanged(this.ready)
        const wasReady = running.ready
        if (!wasReady) reject(refused ?? new Error(`server thread ${thread} did not start: ${cause}`))
        this.#exited(thread, wasReady, cause)
      })
    })
  }

  #received(thread: number, message: FromThread): void {
    if (message.kind === 'log') this.#parts.log(message.line)
    else if (message.kind === 'snapshot') void this.#requestSnapshot(thread, message.id, message.request)
    else if (message.kind === 'ask') {
      const others = [...this.#running]
        .filter(([other, { ready }]) => ready && other !== thread)
        .map(([other]) => other)
      this.#exchange.asked(thread, message.id, message.question, others)
    } else if (message.kind === 'answer') this.#exchange.answered(thread, message.id, message.answer)
  }

  async #requestSnapshot(thread: number, id: number, request: SnapshotRequest): Promise<void> {
    const reply = await this.#parts.requestSnapshot(request).catch((thrown: unknown) => {
      const known = thrown instanceof TidemarkError ? thrown : new TidemarkError('SNAPSHOT_FAILED', messageOf(thrown))
      return known.toJSON()
    })
    this.#send(thread, { kind: 'snapshot', id, reply })
  }

  /** Connects all threads with databases that are in other threads now; `links` makes ports for one of them. */
  relink(links: () => readonly DatabaseLink[]): void {
    for (const thread of this.#running.keys()) {
      const databases = links()
      const ports: Transferable[] = databases.map(({ port }) => port)
      this.#send(thread, { kind: 'linked', databases }, ports)
    }
  }

  #send(thread: number, message: ToThread, ports: readonly Transferable[] = []): void {
    this.#running.get(thread)?.worker.postMessage(message, ports)
  }

  #exited(thread: number, wasReady: boolean, cause: string): void {
    this.#exchange.left(thread)
    if (this.#stopping) {
      if (this.#running.size === 0) this.#whenNone?.()
      return
    }
    if (!wasReady) return
    const outcome = this.#parts.recover(thread)
    if (this.#deaths.add(this.#parts.clock.monotonicMs())) return this.#giveUp(`server thread ${thread} died: ${cause}`)
    this.#parts.log(`server thread ${thread} died and is replaced (${outcome}): ${cause}`)
    this.#spawn(thread).catch((thrown: unknown) => this.#giveUp(messageOf(thrown)))
  }

  #giveUp(reason: string): void {
    if (this.#stopping) return
    this.#stopping = true
    const message = `more than ${limits.threadDeathsPerMinuteMax} server threads died within a minute, or one could not be replaced; the last: ${reason}`
    this.#parts.gaveUp(new TidemarkError('THREADS_DIED', message))
  }

  /** Lets all threads finish what runs and close; ends those that do not within the drain time and some more. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#running.size === 0) return
    const none = new Promise<void>(resolve => {
      this.#whenNone = resolve
    })
    for (const thread of this.#running.keys()) this.#send(thread, { kind: 'stop' })
    const { clock, start } = this.#parts
    const timer = clock.timer(start.settings.drainMs + limits.threadStopMs, () => {
      for (const { worker } of this.#running.values()) void worker.terminate()
    })
    await none
    timer.cancel()
  }
}
