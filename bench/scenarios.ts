// What is measured, as data: stages, each with servers that are started for it, and the scenarios that run on them in order.
// A bar is what issue "Faster than the C servers on the same core" asks for. Not for how anything is measured (measure.ts).
import type { Command } from './generator/requests.ts'
import type { Setup } from './contender.ts'

interface Named {
  /** Chosen by `--only`; unique. */
  readonly name: string
}

/** Server time per operation and throughput, under the next batch when the last was answered. */
export interface CompareScenario extends Named {
  readonly kind: 'compare'
  readonly commands: readonly Command[]
  readonly pipeline: number
  readonly clients: number
  readonly valueBytes: number
  readonly keys: number
  /** Of one measurement, about. */
  readonly seconds?: number
  /** redis-server's time per operation by ours is to be no less. */
  readonly bar?: number
}

/** Latency at half of the rate at which redis-server answers at most. */
export interface LatencyScenario extends Named {
  readonly kind: 'latency'
  readonly clients: number
  readonly valueBytes: number
  readonly keys: number
  readonly seconds: number
  readonly p99MsBar: number
}

export interface MemoryScenario extends Named {
  readonly kind: 'memory'
  readonly keys: number
  readonly valueBytes: number
  /** Our bytes per entry by redis-server's are to be no more. */
  readonly bar: number
}

/** A store that is full, against one that is not; and how long anyone has to wait while it evicts. */
export interface EvictionScenario extends Named {
  readonly kind: 'eviction'
  readonly pipeline: number
  readonly clients: number
  readonly valueBytes: number
  /** So few fit, and so many do not. */
  readonly fewKeys: number
  readonly manyKeys: number
  readonly seconds: number
  readonly bar: number
  readonly pauseMsBar: number
}

/** Bytes that Tidemark's threads allocate on their heaps for an operation. */
export interface GarbageScenario extends Named {
  readonly kind: 'garbage'
  readonly command: 'get' | 'set'
  readonly pipeline: number
  readonly clients: number
  readonly valueBytes: number
  readonly keys: number
  readonly bytesBar?: number
}

export type Scenario = CompareScenario | LatencyScenario | MemoryScenario | EvictionScenario | GarbageScenario

export interface Stage {
  readonly name: string
  readonly setup: Setup
  /** Tidemark is always there. */
  readonly peers: readonly string[]
  readonly scenarios: readonly Scenario[]
}

const plain = { kind: 'compare', commands: ['get', 'set'], clients: 50, valueBytes: 64, keys: 100_000 } as const
const rows = { ...plain, commands: ['get', 'hget'] } as const
const garbage = { kind: 'garbage', clients: 50, valueBytes: 64, keys: 100_000 } as const
const redisOnly = ['redis']
const all = ['redis', 'memcached']

/** The figure that other scenarios are held against: GET of few keys, in the same store that then gets many. */
export const fewKeysName = 'keys-100k'

export const stages: readonly Stage[] = [
  {
    name: 'one thread',
    setup: { threads: 1, memoryMb: 4096 },
    peers: all,
    scenarios: [
      { ...plain, name: 'pipeline-1', pipeline: 1, bar: 1 },
      { ...plain, name: 'pipeline-16', pipeline: 16, bar: 1.4 },
      { ...plain, name: 'pipeline-64', pipeline: 64, bar: 1.6 },
      { ...plain, name: 'pipeline-256', pipeline: 256, bar: 1.9 },
      { kind: 'latency', name: 'latency', clients: 50, valueBytes: 64, keys: 100_000, seconds: 1, p99MsBar: 1 },
      // Long enough that opening the connections, which is in it, is a few per cent.
      { ...plain, name: 'connections-1000', pipeline: 1, clients: 1000, seconds: 4, bar: 1 },
      { ...plain, name: 'connections-1000-pipeline-16', pipeline: 16, clients: 1000 },
      { ...plain, name: 'value-1k', pipeline: 1, valueBytes: 1024 },
      { ...plain, name: 'value-1k-pipeline-16', pipeline: 16, valueBytes: 1024 },
      { ...plain, name: 'value-16k', pipeline: 1, valueBytes: 16_384 },
      { ...plain, name: 'value-16k-pipeline-16', pipeline: 16, valueBytes: 16_384, bar: 1 },
    ],
  },
  {
    name: 'two threads',
    setup: { threads: 2, memoryMb: 1024 },
    peers: all,
    scenarios: [1, 16, 64, 256].map(pipeline => ({ ...plain, name: `threads-2-pipeline-${pipeline}`, pipeline })),
  },
  {
    name: 'rows',
    setup: { threads: 1, memoryMb: 1024, rows: 100_000 },
    peers: redisOnly,
    scenarios: [
      { ...rows, name: 'rows-pipeline-1', pipeline: 1, bar: 1 },
      { ...rows, name: 'rows-pipeline-16', pipeline: 16, bar: 1.4 },
      { ...rows, name: 'rows-pipeline-64', pipeline: 64, bar: 1.6 },
      { ...rows, name: 'rows-pipeline-256', pipeline: 256, bar: 1.9 },
    ],
  },
  {
    name: 'many keys',
    setup: { threads: 1, memoryMb: 4096 },
    peers: redisOnly,
    scenarios: [
      { ...plain, name: fewKeysName, pipeline: 16 },
      { kind: 'memory', name: 'memory', keys: 5_000_000, valueBytes: 64, bar: 0.8 },
      { ...plain, name: 'keys-10m', pipeline: 16, keys: 10_000_000 },
      { ...plain, name: 'keys-10m-pipeline-1', pipeline: 1, keys: 10_000_000 },
      { ...plain, name: 'keys-10m-pipeline-256', pipeline: 256, keys: 10_000_000 },
    ],
  },
  {
    name: 'full store',
    setup: { threads: 1, memoryMb: 256 },
    peers: redisOnly,
    scenarios: [
      {
        kind: 'eviction',
        name: 'eviction',
        pipeline: 16,
        clients: 50,
        valueBytes: 64,
        fewKeys: 100_000,
        manyKeys: 8_000_000,
        seconds: 3,
        bar: 0.7,
        pauseMsBar: 5,
      },
    ],
  },
  {
    name: 'garbage',
    setup: { threads: 1, memoryMb: 1024 },
    peers: [],
    scenarios: (['get', 'set'] as const).flatMap(command =>
      [1, 16, 64, 256].map(pipeline => ({
        ...garbage,
        name: `garbage-${command}-${pipeline}`,
        command,
        pipeline,
        ...(pipeline >= 64 ? { bytesBar: 16 } : {}),
      })),
    ),
  },
]

/** Every kind of scenario at a size that says nothing, to see that it works. */
export function smokeStages(): Stage[] {
  const few = { keys: 200, valueBytes: 64 }
  const shrink = (scenario: Scenario): Scenario => {
    switch (scenario.kind) {
      case 'compare':
        return { ...scenario, keys: 200, seconds: 0 }
      case 'latency':
        return { ...scenario, ...few, clients: 4, seconds: 0.2 }
      case 'memory':
        return { ...scenario, keys: 2000 }
      case 'eviction':
        return { ...scenario, fewKeys: 200, manyKeys: 100_000, seconds: 0.2 }
      case 'garbage':
        return { ...scenario, ...few }
    }
  }
  const memoryMb = { 'full store': 8 } as Readonly<Record<string, number>>
  const small = new Set(['pipeline-1', 'pipeline-64', 'latency', 'threads-2-pipeline-16', 'rows-pipeline-16'])
  for (const name of [fewKeysName, 'memory', 'keys-10m', 'eviction', 'garbage-get-64']) small.add(name)
  return stages.map(stage => ({
    ...stage,
    setup: { ...stage.setup, memoryMb: memoryMb[stage.name] ?? 64, ...(stage.setup.rows ? { rows: 200 } : {}) },
    scenarios: stage.scenarios.filter(({ name }) => small.has(name)).map(shrink),
  }))
}
