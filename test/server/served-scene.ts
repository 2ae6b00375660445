// One server thread in the test's own process, on a real port, over a cache whose source can be held back (Scene): for
// tests of sessions. Its clock stands still. Not for: several threads, and the supervisor.
import { seededRandom } from '../../src/base/random.ts'
import { ServerThread } from '../../src/server/thread.ts'
import { ClientCounts } from '../../src/server/client-counts.ts'
import { commandNames } from '../../src/server/commands/table.ts'
import { LiveState } from '../../src/server/live-state.ts'
import { type ServerMetrics, Statistics, serverMetrics } from '../../src/server/metrics.ts'
import { ServedTierMemory } from '../../src/server/served-tier.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { Scene } from '../cache/scene.ts'

export function testSettings(changed: Partial<ServerSettings> = {}): ServerSettings {
  return {
    host: '127.0.0.1',
    port: 0,
    adminHost: '127.0.0.1',
    adminPort: 0,
    threads: 1,
    memoryBytes: 16 << 20,
    requirepass: undefined,
    dataFolder: undefined,
    snapshot: undefined,
    connectionsMax: 1000,
    debugCommand: 'no',
    drainMs: 1000,
    databases: [],
    tier: undefined,
    tierMemoryBytes: 0,
    keyspaces: [],
    ...changed,
  }
}

export class ServedScene implements AsyncDisposable {
  readonly scene: Scene
  readonly thread: ServerThread
  readonly metrics: ServerMetrics
  readonly log: string[]

  static async open(settings: Partial<ServerSettings> = {}): Promise<ServedScene> {
    const scene = await Scene.open()
    const metrics = serverMetrics(commandNames, 2, 1)
    const { tierMemoryBytes } = testSettings(settings)
    const log: string[] = []
    const thread = await ServerThread.start({
      start: {
        settings: testSettings(settings),
        thread: 1,
        threads: 2,
        port: 0,
        reusePort: false,
        store: scene.store.shared,
        laneTable: scene.table.shared,
        metrics: metrics.buffer,
        baseline: new Statistics(metrics, commandNames).baseline,
        clientCounts: new ClientCounts(2).shared,
        live: LiveState.create(2, testSettings(settings)).shared,
        runId: 'test',
        startedWallMs: scene.clock.wallMs(),
        databases: [],
        servedTier:
          tierMemoryBytes === 0
            ? undefined
            : new ServedTierMemory({ memoryBytes: tierMemoryBytes, threads: 2, seed: 3 }).shared,
      },
      store: scene.store,
      cache: scene.cache,
      metrics,
      clock: scene.clock,
      random: seededRandom(11),
      log: line => void log.push(line),
      askPeers: () => Promise.resolve([]),
      requestSnapshot: () => Promise.resolve('busy'),
      sources: () => Promise.resolve([]),
    })
    return new ServedScene(scene, thread, metrics, log)
  }

  private constructor(scene: Scene, thread: ServerThread, metrics: ServerMetrics, log: string[]) {
    this.scene = scene
    this.thread = thread
    this.metrics = metrics
    this.log = log
  }

  get port(): number {
    return this.thread.port
  }

  /** What CLIENT LIST says of each client, as maps of its fields. */
  get clients(): Map<string, string>[] {
    return this.thread
      .answer({ about: 'list', filter: {} })
      .map(line => new Map(line.split(' ').map(field => [field.split('=')[0]!, field.split('=')[1]!])))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.thread.stop()
    // The clock stands still, so that the drain would never end.
    this.scene.clock.advance(1000)
    await stopped
    await this.scene[Symbol.asyncDispose]()
  }
}

/** Looks again at each turn of the event loop until `holds`; fails after many turns, so that no test hangs. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000; turn++) {
    if (holds()) return
    await new Promise(resolve => setTimeout(resolve, turn < 1000 ? 0 : 1))
  }
  throw new Error(`never: ${what}`)
}
