// The samples of a run as tables for reading: one for each kind of scenario, and the bars.
import { Figures } from './bars.ts'
import { tidemark } from './contender.ts'
import type { Machine } from './machine.ts'
import type { Bar, Figure, Sample } from './samples.ts'
import type { Scenario } from './scenarios.ts'
import { table } from './table.ts'

export function headLines(
  machine: Machine,
  versions: Readonly<Record<string, string>>,
  { rounds, seed, pin }: { readonly rounds: number; readonly seed: number; readonly pin: boolean },
): string[] {
  const gib = (machine.memoryBytes / 2 ** 30).toFixed(0)
  const named = Object.entries(versions).map(entry => entry.join(' '))
  return [
    `machine   ${machine.processor}, ${machine.cores} cores, ${gib} GiB, ${machine.system}`,
    `commit    ${machine.commit}, ${machine.at}`,
    `versions  node ${machine.node}, ${named.join(', ')}`,
    `load      ${rounds} rounds, keys drawn evenly, seed ${seed}, loopback, ${pin ? 'server on core 0 alone' : 'not pinned to cores'}`,
    '',
  ]
}

const compareHead = [
  '',
  '',
  'pipeline',
  'clients',
  'bytes',
  'keys',
  'server',
  'requests/s',
  'ratio',
  'cpu us',
  'cpu ratio',
]

function compareRows(scenario: Scenario, figures: Figures, servers: readonly string[]): string[][] {
  if (scenario.kind !== 'compare') return []
  const { name, pipeline, clients, valueBytes, keys } = scenario
  return scenario.commands.flatMap(command =>
    servers.flatMap(server => {
      const rate = figures.of(name, server, command, 'requestsPerSecond')
      if (rate === undefined) return []
      const ours = figures.of(name, tidemark.name, command, 'requestsPerSecond')!
      const peer = server !== tidemark.name
      return [
        [
          name,
          command.toUpperCase(),
          ...[pipeline, clients, valueBytes, keys].map(String),
          server,
          Math.round(rate).toLocaleString('en-US'),
          peer ? (ours / rate).toFixed(2) : '',
          figures.of(name, server, command, 'cpuMicroseconds')!.toFixed(2),
          peer ? figures.ratio(name, server, command)!.toFixed(2) : '',
        ],
      ]
    }),
  )
}

/** What other kinds of scenario show, by the heading of their columns. */
const otherColumns: readonly (readonly [heading: string, figure: Figure, digits: number])[] = [
  ['requests/s', 'requestsPerSecond', 0],
  ['cpu us', 'cpuMicroseconds', 2],
  ['p50 ms', 'p50Ms', 3],
  ['p99 ms', 'p99Ms', 3],
  ['p99.9 ms', 'p999Ms', 3],
  ['max ms', 'maxMs', 2],
  ['probe max ms', 'probeMaxMs', 2],
  ['generator gap ms', 'generatorGapMs', 2],
  ['sent late p99 ms', 'sentLateP99Ms', 3],
  ['bytes/entry', 'bytesPerEntry', 1],
  ['added', 'addedBytesPerEntry', 1],
  ['garbage bytes', 'garbageBytes', 2],
]

function otherLines(scenario: Scenario, figures: Figures, samples: readonly Sample[]): string[] {
  const kinds = new Map<string, Sample>()
  for (const sample of samples) {
    if (sample.scenario === scenario.name) kinds.set(`${sample.command} ${sample.server}`, sample)
  }
  if (scenario.kind === 'compare' || kinds.size === 0) return []
  const shown = otherColumns.filter(([, figure]) => [...kinds.values()].some(sample => sample[figure] !== undefined))
  const rows = [...kinds.values()].map(({ command, server }) => [
    scenario.name,
    command,
    server,
    ...shown.map(([, figure, digits]) => figures.of(scenario.name, server, command, figure)?.toFixed(digits) ?? ''),
  ])
  return table([['', '', 'server', ...shown.map(([heading]) => heading)], ...rows])
}

export function resultLines(
  scenarios: readonly Scenario[],
  samples: readonly Sample[],
  servers: readonly string[],
): string[] {
  const figures = new Figures(samples)
  const compared = scenarios.flatMap(scenario => compareRows(scenario, figures, servers))
  const lines: string[] = []
  if (compared.length > 0) {
    const meaning =
      'Medians. ratio: our requests/s by theirs; cpu ratio: their processor time by operation by ours. Above 1 we are ahead.'
    lines.push(...table([compareHead, ...compared]), '', meaning, '')
  }
  let kind = ''
  for (const scenario of scenarios) {
    const block = otherLines(scenario, figures, samples)
    if (block.length === 0) continue
    // Scenarios of one kind stand in one table, under the heading of the first.
    lines.push(...(scenario.kind === kind ? block.slice(1) : ['', ...block]))
    kind = scenario.kind
  }
  return lines
}

export function barLines(bars: readonly Bar[]): string[] {
  if (bars.length === 0) return []
  const words = (reached: boolean | undefined): string =>
    reached === undefined ? '-' : reached ? 'reached' : 'NOT REACHED'
  const rows = bars.map(({ name, wanted, figure, reached }) => [name, wanted, figure, words(reached)])
  const met = bars.filter(({ reached }) => reached === true).length
  return ['', ...table([['bar', 'wanted', 'figure', ''], ...rows]), '', `${met} of ${bars.length} bars reached`]
}
