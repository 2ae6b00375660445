// One server thread: listens on the port that all threads share, and makes a session for each of its connections. The
// store, the cache and what connects it with the other threads are given. Not for: being a worker (run-thread.ts).
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock, Timer } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { Cache } from '../cache/cache.ts'
import type { Store } from '../store/store.ts'
import { ClientCounts } from './client-counts.ts'
import { answerQuestion } from './commands/client.ts'
import type { PeerAnswer, PeerQuestion, Server } from './commands/server-call.ts'
import { answerAboutChannels } from './commands/pubsub.ts'
import { answerAboutSlow } from './commands/latency.ts'
import { commandNames, commandTable } from './commands/table.ts'
import { LiveNumber, LiveState } from './live-state.ts'
import { type ServerMetrics, Statistics } from './metrics.ts'
import { PassThrough } from './pass-through.ts'
import { PubSub } from './pub-sub.ts'
import { ClientMode } from './special-state.ts'
import { ServedTier } from './served-tier.ts'
import { SessionThread } from './session-thread.ts'
import { Session } from './session.ts'
import type { ThreadStart } from './thread-messages.ts'
import { SlowLog } from './slow-log.ts'
import { type ChangedKeys, Tracking } from './tracking.ts'
import { type Connection, Listener } from './transport.ts'

const TOO_MANY_CLIENTS = Buffer.from('-ERR max number of clients reached\r\n')

export interface ServerThreadParts {
  readonly start: ThreadStart
  readonly store: Store
  readonly cache: Cache
  readonly metrics: ServerMetrics
  readonly clock: Clock
  readonly random: Random
  readonly log: (line: string) => void
  readonly askPeers: (question: PeerQuestion) => Promise<PeerAnswer>
  readonly requestSnapshot: Server['requestSnapshot']
  readonly sources: Server['sources']
}

export class ServerThread {
  readonly #parts: ServerThreadParts
  readonly #counts: ClientCounts
  readonly #server: Server
  readonly #sessions = new Map<number, Session>()
  readonly #sessionThread: SessionThread
  #listener!: Listener
  #sweeping: Timer | undefined

  private constructor(parts: ServerThreadParts) {
    const { start } = parts
    this.#parts = parts
    this.#counts = new ClientCounts(start.threads, start.clientCounts)
    this.#server = this.#describeServer()
    this.#sessionThread = new SessionThread({
      ...parts,
      server: this.#server,
      sessions: this.#sessions,
      nextClientId: () => this.#counts.nextId(),
      sessionClosed: client => {
        this.#server.pubSub.leave(client)
        this.#server.tracking.stop(client)
        this.#server.servedTier?.leave(client)
        this.#counts.close(start.thread)
      },
    })
  }

  /** Listens; rejects with ADDRESS_TAKEN or ADDRESS_REFUSED. */
  static async start(parts: ServerThreadParts): Promise<ServerThread> {
    const thread = new ServerThread(parts)
    const { settings, port, reusePort } = parts.start
    thread.#listener = await Listener.listen({
      host: settings.host,
      port,
      reusePort,
      receiveBuffer: Buffer.allocUnsafeSlow(limits.receiveBufferBytes),
      accept: connection => thread.#accept(connection),
      failed: error => parts.log(`a connection could not be accepted: ${error.message}`),
    })
    thread.#sweepLater()
    return thread
  }

  get port(): number {
    return this.#listener.port
  }

  #describeServer(): Server {
    const { start, store, clock, metrics, askPeers, requestSnapshot, sources } = this.#parts
    const live = LiveState.attach(start.live)
    const digest = (password: string | Buffer) => createHash('sha256').update(password).digest()
    return {
      settings: start.settings,
      port: start.port,
      table: commandTable,
      metrics,
      statistics: new Statistics(metrics, commandNames, start.baseline),
      runId: start.runId,
      startedWallMs: start.startedWallMs,
      clients: this.#sessions,
      clientCount: () => this.#counts.total(),
      askPeers,
      requestSnapshot,
      sources,
      passThrough: start.settings.tier && new PassThrough(start.settings.tier, clock),
      servedTier: start.servedTier && new ServedTier(start.servedTier, start.thread, clock),
      live,
      pubSub: new PubSub(start.thread, live),
      slowLog: new SlowLog(live),
      tracking: new Tracking({ store, clock, redirect: (id, keys) => this.#redirect(id, keys) }),
      log: this.#parts.log,
      passwordMatches: password => {
        const expected = live.password
        return expected === '' || timingSafeEqual(digest(password), digest(expected))
      },
    }
  }

  #accept(connection: Connection): Session | undefined {
    const { metrics, start } = this.#parts
    if (!this.#counts.open(start.thread, this.#server.live.numbers[LiveNumber.connectionsMax]!)) {
      metrics.add('tidemark_connections_refused_total', 1)
      connection.write(TOO_MANY_CLIENTS)
      return undefined
    }
    metrics.add('tidemark_connections_total', 1)
    return new Session(this.#sessionThread, connection)
  }

  answer(question: PeerQuestion): PeerAnswer {
    if (question.about === 'redirect') {
      return this.#server.tracking.sendTo(this.#sessions, question.id, question.keys) ? [''] : []
    }
    switch (question.about) {
      case 'list':
      case 'kill':
        return answerQuestion(this.#sessions, question, this.#parts.clock.monotonicMs())
      case 'slow':
      case 'slow-reset':
      case 'latency':
        return answerAboutSlow(this.#server, { about: question.about })
      case 'latency-reset':
        return answerAboutSlow(this.#server, question)
      default:
        return answerAboutChannels(this.#server, question)
    }
  }

  async #redirect(id: number, keys: ChangedKeys): Promise<boolean> {
    if (this.#server.tracking.sendTo(this.#sessions, id, keys)) return true
    return (await this.#parts.askPeers({ about: 'redirect', id, keys })).length > 0
  }

  /** Reclaims expired records that nobody asks for, a few at a time. */
  #sweepLater(): void {
    const { clock, store } = this.#parts
    const next = () => {
      store.sweep(clock.wallMs(), limits.sweepBuckets)
      this.#sessionThread.batch.look()
      this.#server.tracking.expire()
      this.#server.servedTier?.sweep(clock.wallMs())
      this.#closeIdle()
      this.#sweepLater()
    }
    this.#sweeping = clock.timer(limits.sweepEveryMs, next, { unref: true })
  }

  /** As in Redis, who listens to channels is never idle. */
  #closeIdle(): void {
    const idleSeconds = this.#server.live.numbers[LiveNumber.idleSeconds]!
    if (idleSeconds === 0) return
    const sinceMs = this.#parts.clock.monotonicMs() - idleSeconds * 1000
    for (const session of this.#sessions.values()) {
      if (session.activeAtMs < sinceMs && (session.modes & ClientMode.subscribed) === 0 && !session.waits)
        session.kill()
    }
  }

  /** Stops accepting, lets the commands that run finish for at most `drainMs`, then closes all connections. */
  async stop(): Promise<void> {
    const { clock, start } = this.#parts
    this.#sweeping?.cancel()
    this.#server.tracking.close()
    this.#server.servedTier?.close()
    this.#listener.stopAccepting()
    for (const session of this.#sessions.values()) session.shutdown()
    const timer = clock.timer(start.settings.drainMs, () => this.#listener.destroyConnections())
    await this.#listener.empty()
    await this.#server.passThrough?.close()
    timer.cancel()
  }
}
