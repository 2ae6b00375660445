// The figures of a run of chaos in words and tables.
// Not for: raw figures (--json).
import type { ChaosOutcome, FaultOutcome, ServerOutcome } from './chaos-run.ts'

const columns = ['fault', 'times', 'lasted', 'reads unanswered', 'writes unanswered', 'fresh again after its end', 'of the servers hit', 'besides'] // prettier-ignore

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

function millis(figures: Readonly<Record<string, number>>): string {
  return Object.entries(figures).map(([name, value]) => name === 'count' ? `${value} times` : `${name} ${value.toFixed(1)} ms`).join(', ') // prettier-ignore
}

/** The worst of all; a minus where nobody was asked. */
function worst(values: readonly (number | undefined)[]): string {
  if (values.length === 0) return '-'
  if (values.includes(undefined)) return 'never'
  return seconds(Math.max(...(values as readonly number[])))
}

function row(name: string, times: readonly FaultOutcome[]): string[] {
  const servers = times.flatMap(outcome => outcome.servers)
  const others = servers.filter(({ hit }) => !hit)
  const hit = servers.filter(server => server.hit)
  const figures = new Map<string, number>()
  for (const [figure, ms] of times.flatMap(outcome => Object.entries(outcome.figures))) {
    figures.set(figure, Math.max(figures.get(figure) ?? 0, ms))
  }
  const pick = (from: readonly ServerOutcome[], field: 'readGapMs' | 'writeGapMs' | 'recoveryAfterMs'): string =>
    worst(from.map(server => server[field]))
  return [
    name,
    String(times.length),
    worst(times.map(({ lastedMs }) => lastedMs)),
    pick(others, 'readGapMs'),
    pick(others, 'writeGapMs'),
    pick(others, 'recoveryAfterMs'),
    pick(hit, 'recoveryAfterMs'),
    [...figures].map(([figure, ms]) => `${figure} ${seconds(ms)}`).join(', '),
  ]
}

function tableOf(rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map(row => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  return [line(columns), `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)]
}

function libraryLine({ library: { reads, tiers, writes, refused } }: ChaosOutcome): string {
  const counts = (of: Readonly<Record<string, number>>): string => Object.entries(of).map(([name, count]) => `${count} ${name}`).join(', ') // prettier-ignore
  const all = Object.values(reads).reduce((sum, count) => sum + count, 0)
  return `${all} reads checked from the library (${counts(reads)}; from ${counts(tiers)}), ${writes} writes acknowledged; refused: ${counts(refused) || 'none'}`
}

export function reportOf(outcome: ChaosOutcome): string {
  const names = [...new Set(outcome.faults.map(({ fault }) => fault))].sort()
  const rows = names.map(name => row(name, outcome.faults.filter(({ fault }) => fault === name))) // prettier-ignore
  const staleness = Object.entries(outcome.staleness).map(([name, value]) =>
    name === 'not stale' ? `${(value * 100).toFixed(3)}% of reads not at all` : `${name} ${value.toFixed(1)} ms`,
  )
  const from = Object.entries(outcome.readsOf).map(([tier, count]) => `${count} from ${tier}`)
  return [
    `Worst of each fault; unanswered and fresh again: servers that the fault did not hit.`,
    ...tableOf(rows),
    '',
    `${outcome.faults.length} faults in ${outcome.seconds.toFixed(0)} s from seed ${outcome.seed}; partitions: ${outcome.partitions}`,
    `Not tried: ${outcome.untried.join(', ') || 'none'}`,
    `Without faults, from COMMIT to the last near cache dropping the row: ${millis(outcome.quiet.dropMs)}; from the answer to COMMIT: ${millis(outcome.quiet.dropAfterAckMs)}`,
    `Without faults, the age that near answers tell: ${millis(outcome.quiet.ageMs)}`,
    `True staleness: ${staleness.join(', ')}; ${outcome.contested} reads were of rows that had changed in the 500 ms before`,
    `The checker knew of a commit after it was sent: ${millis(outcome.slack)}; its own event loop was late by ${millis(outcome.loopDelay)}`,
    `Of answers that say where they come from: ${from.join(', ')}; ${outcome.sessionSteps} steps of sessions`,
    libraryLine(outcome),
    `${outcome.acknowledged} writes acknowledged, ${outcome.unknown} of unknown outcome, ${outcome.readErrors} requests for rows refused or cut off`,
    `${outcome.reads} reads checked, ${outcome.violationCount} violations`,
    ...outcome.violations.map(({ kind, text }) => `VIOLATION (${kind}): ${text}`),
  ].join('\n')
}
