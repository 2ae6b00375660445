// The bars that were set, each reached or not, from the samples of a run. Medians over the rounds, but for pauses, where the
// longest counts.
import { tidemark } from './contender.ts'
import type { Bar, Figure, Sample } from './samples.ts'
import type {
  CompareScenario,
  EvictionScenario,
  GarbageScenario,
  LatencyScenario,
  MemoryScenario,
  Scenario,
} from './scenarios.ts'
import { fewKeysName } from './scenarios.ts'
import { median } from './table.ts'

/** GET of many keys is to take no more than 1 / this of what GET of few takes. */
const manyKeysBar = 0.6
const manyKeysName = 'keys-10m'
/** Latencies count while requests are sent no later than this share of their bar. */
const LATE_SHARE_MAX = 0.5

export class Figures {
  readonly #samples: readonly Sample[]

  constructor(samples: readonly Sample[]) {
    this.#samples = samples
  }

  all(scenario: string, server: string, command: string, figure: Figure): number[] {
    return this.#samples
      .filter(sample => sample.scenario === scenario && sample.server === server && sample.command === command)
      .map(sample => sample[figure])
      .filter(value => value !== undefined)
  }

  /** The median of the rounds; undefined when there is none. */
  of(scenario: string, server: string, command: string, figure: Figure): number | undefined {
    const values = this.all(scenario, server, command, figure)
    return values.length === 0 ? undefined : median(values)
  }

  /** `server`'s processor time by operation as a multiple of ours. */
  ratio(scenario: string, server: string, command: string): number | undefined {
    const ours = this.of(scenario, tidemark.name, command, 'cpuMicroseconds')
    return ours === undefined ? undefined : divide(this.of(scenario, server, command, 'cpuMicroseconds'), ours)
  }
}

function divide(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b
}

function bar(
  name: string,
  wanted: string,
  figure: number | undefined,
  reached: (figure: number) => boolean,
  unit = '',
): Bar {
  if (figure === undefined || !Number.isFinite(figure))
    return { name, wanted, figure: 'not measured', reached: undefined }
  return { name, wanted, figure: `${figure.toFixed(2)}${unit}`, reached: reached(figure) }
}

export function barsOf(scenarios: readonly Scenario[], samples: readonly Sample[]): Bar[] {
  const figures = new Figures(samples)
  return scenarios.flatMap(scenario => {
    switch (scenario.kind) {
      case 'compare':
        return compareBars(scenario, figures)
      case 'latency':
        return latencyBars(scenario, figures)
      case 'memory':
        return memoryBars(scenario, figures)
      case 'eviction':
        return evictionBars(scenario, figures)
      case 'garbage':
        return garbageBars(scenario, figures)
    }
  })
}

function compareBars({ name, commands, bar: wanted }: CompareScenario, figures: Figures): Bar[] {
  const bars: Bar[] = []
  if (wanted !== undefined) {
    for (const command of commands) {
      const ratio = figures.ratio(name, 'redis', command)
      bars.push(bar(`${name} ${command}: CPU of redis by ours`, `>= ${wanted}`, ratio, figure => figure >= wanted))
    }
  }
  if (name === manyKeysName) {
    const few = figures.of(fewKeysName, tidemark.name, 'get', 'cpuMicroseconds')
    const share = divide(few, figures.of(name, tidemark.name, 'get', 'cpuMicroseconds'))
    bars.push(bar(`${name} get: against 100k keys`, `>= ${manyKeysBar}`, share, figure => figure >= manyKeysBar))
  }
  return bars
}

function latencyBars({ name, p99MsBar }: LatencyScenario, figures: Figures): Bar[] {
  const ours = figures.of(name, tidemark.name, 'get', 'p99Ms')
  const theirs = figures.of(name, 'redis', 'get', 'p99Ms')
  const late = [tidemark.name, 'redis'].map(server => figures.of(name, server, 'get', 'sentLateP99Ms') ?? 0)
  const latest = Math.max(...late)
  // Then the figures are the generator's own, or the machine's.
  if (latest > p99MsBar * LATE_SHARE_MAX) {
    const figure = `not measurable: requests were sent ${latest.toFixed(2)} ms late (p99)`
    return [
      { name: `${name}: p99 at half of redis' peak`, wanted: `< ${p99MsBar} ms`, figure, reached: undefined },
      { name: `${name}: p99 by redis'`, wanted: '<= 1', figure, reached: undefined },
    ]
  }
  return [
    bar(`${name}: p99 at half of redis' peak`, `< ${p99MsBar} ms`, ours, figure => figure < p99MsBar, ' ms'),
    bar(`${name}: p99 by redis'`, '<= 1', divide(ours, theirs), figure => figure <= 1),
  ]
}

function memoryBars({ name, bar: wanted }: MemoryScenario, figures: Figures): Bar[] {
  const ours = figures.of(name, tidemark.name, 'set', 'bytesPerEntry')
  const share = divide(ours, figures.of(name, 'redis', 'set', 'bytesPerEntry'))
  return [bar(`${name}: bytes per entry by redis'`, `<= ${wanted}`, share, figure => figure <= wanted)]
}

function evictionBars({ name, bar: wanted, pauseMsBar }: EvictionScenario, figures: Figures): Bar[] {
  const cpu = (command: string): number | undefined => figures.of(name, tidemark.name, command, 'cpuMicroseconds')
  const pauses = figures.all(name, tidemark.name, 'mix, half rate', 'probeMaxMs')
  const longest = pauses.length === 0 ? undefined : Math.max(...pauses)
  const mixed = divide(cpu('set, all fits'), cpu('mix, evicting'))
  return [
    bar(`${name}: half SET, evicting, against SET`, `>= ${wanted}`, mixed, figure => figure >= wanted),
    bar(`${name}: longest pause`, `<= ${pauseMsBar} ms`, longest, figure => figure <= pauseMsBar, ' ms'),
  ]
}

function garbageBars({ name, command, bytesBar }: GarbageScenario, figures: Figures): Bar[] {
  if (bytesBar === undefined) return []
  const bytes = figures.of(name, tidemark.name, command, 'garbageBytes')
  return [bar(`${name}: bytes per operation`, `< ${bytesBar}`, bytes, figure => figure < bytesBar)]
}
