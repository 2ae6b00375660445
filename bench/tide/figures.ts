// The arithmetic of the tide's benchmark: quantiles, medians over rounds, these as a table, and the bars that
// were set, each held or not.
// Not for: measuring.
import type { Bar } from '../samples.ts'
import { median, table } from '../table.ts'
import type { TideSample } from './sample.ts'

/** The smallest value that is not below `share` of all; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

export class TideFigures {
  readonly #samples: readonly TideSample[]

  constructor(samples: readonly TideSample[]) {
    this.#samples = samples
  }

  /** In the order of the rounds. */
  all(stage: string, series: string, figure: string): number[] {
    const found = this.#samples.filter(sample => sample.stage === stage && sample.series === series)
    return found.map(sample => sample.figures[figure]).filter(value => value !== undefined)
  }

  /** The median over the rounds. */
  of(stage: string, series: string, figure: string): number | undefined {
    const values = this.all(stage, series, figure)
    return values.length === 0 ? undefined : median(values)
  }
}

type Measured = (figures: TideFigures) => Pick<Bar, 'figure' | 'reached'> | undefined

function atLeast(bar: number, value: number | undefined, text: string): ReturnType<Measured> {
  return value === undefined ? undefined : { figure: text, reached: value >= bar }
}

function atMost(bar: number, value: number | undefined, text: string): ReturnType<Measured> {
  return value === undefined ? undefined : { figure: text, reached: value <= bar }
}

function fixed(value: number | undefined, digits: number): string {
  return value === undefined ? '' : value.toFixed(digits)
}

function hits(series: string, bar: number): Measured {
  return figures => {
    const share = figures.of('set-get', series, 'hitShare')
    const rate = figures.of('set-get', series, 'writesPerSecond')
    const by = rate === undefined ? '' : ` at ${Math.round(rate)} writes/s`
    return atLeast(bar, share, `${fixed(share, 3)}${by}`)
  }
}

/** Of `ours` to the bare statement, both in one round; a round trip to the tier, where there is one, is taken off first. */
function slowdown(stage: string, ours: string, bare: string, bar: number, trip?: string): Measured {
  return figures => {
    const own = figures.of(stage, ours, 'p50Us')
    const base = figures.of(stage, bare, 'p50Us')
    const off = trip === undefined ? 0 : figures.of(stage, trip, 'p50Us')
    if (own === undefined || base === undefined || off === undefined) return undefined
    const ratio = (own - off) / base
    const less = trip === undefined ? '' : `, less ${off.toFixed(0)} us to the tier`
    return atMost(bar, ratio, `${ratio.toFixed(2)} (${own.toFixed(0)} us by ${base.toFixed(0)} us${less})`)
  }
}

function nearHits(bare: string, bar: number): Measured {
  return figures => {
    const proved = figures.of('near', 'proved', 'requestsPerSecond')
    const other = figures.of('near', bare, 'requestsPerSecond')
    if (proved === undefined || other === undefined) return undefined
    const cpu = [figures.of('near', 'proved', 'cpuUs'), figures.of('near', bare, 'cpuUs')]
    const share = proved / other
    return atLeast(bar, share, `${share.toFixed(2)} (cpu ${fixed(cpu[0], 2)} us by ${fixed(cpu[1], 2)} us)`)
  }
}

function follows(series: string, rowsBar: number): Measured {
  return figures => {
    const rows = figures.of('follow', series, 'rowsPerSecond')
    const lag = figures.of('follow', series, 'lagMaxMs')
    if (rows === undefined || lag === undefined) return undefined
    const figure = `${Math.round(rows)} rows/s, at most ${Math.round(lag)} ms behind`
    // Where the database commits less than the bar by itself, it is all of that which is to be followed.
    const most = figures.of('follow', `${series}, unpaced, no tide`, 'rowsPerSecond') ?? Infinity
    return { figure, reached: lag < 1_000 && rows >= Math.min(rowsBar, 0.9 * most) }
  }
}

/** Of commits by plain SQL, by the last near cache. */
function drops(barMs: number): Measured {
  return figures => {
    const [sent, answered] = ['sent', 'answered'].map(since => figures.of('drop', `all, since ${since}`, 'p99Ms'))
    return atMost(
      barMs,
      sent,
      `${fixed(sent, 1)} ms since COMMIT was sent, ${fixed(answered, 1)} since it was answered`,
    )
  }
}

function idle(bar: number): Measured {
  return figures => {
    const share = figures.of('idle', 'server', 'coreShare')
    return atMost(bar, share, `${((share ?? 0) * 100).toFixed(1)} % of a core`)
  }
}

const bars: readonly (readonly [name: string, wanted: string, measured: Measured])[] = [
  ['get after set is a tier hit, quiet', '>= 0.95', hits('quiet', 0.95)],
  ['get after set is a tier hit, others write SQL', '>= 0.9', hits('busy by SQL', 0.9)],
  ['get after set is a tier hit, others write through', '>= 0.9', hits('busy', 0.9)],
  ['set, embedded tier, by bare upsert, p50', '<= 1.3', slowdown('set', 'embedded', 'bare upsert', 1.3)],
  [
    'set, Valkey, by bare upsert, p50',
    '<= 1.3 + a trip',
    slowdown('set', 'valkey', 'bare upsert', 1.3, 'trip to valkey'),
  ],
  ['miss, embedded tier, by bare select, p50', '<= 2.0', slowdown('miss', 'embedded', 'bare select', 2)],
  ['miss, Valkey, by bare select, p50', '<= 2.0', slowdown('miss', 'valkey', 'bare select', 2)],
  [
    'miss, Valkey, both 1 ms away, by bare select, p50',
    '<= 2.0',
    slowdown('miss', 'valkey, 1 ms away', 'bare select, 1 ms away', 2),
  ],
  ['near hit with proof by SQLite keyspace', '>= 0.9', nearHits('sqlite', 0.9)],
  ['near hit with proof by plain key', '>= 0.9', nearHits('plain', 0.9)],
  ['a commit by SQL leaves the last near cache, p99', '<= 5 ms', drops(5)],
  ['followed, batches of rows', '10,000 rows/s, < 1 s', follows('batches', 10_000)],
  ['followed, transactions of one row', '10,000 or all, < 1 s', follows('single rows', 10_000)],
  ['idle server with 64 lanes', '<= 5 % of a core', idle(0.05)],
]

export function tideBars(samples: readonly TideSample[]): Bar[] {
  const figures = new TideFigures(samples)
  return bars.map(([name, wanted, measured]) => ({
    name,
    wanted,
    ...(measured(figures) ?? { figure: '', reached: undefined }),
  }))
}

/** All that was measured, as a table for reading: medians over the rounds. */
export function figureLines(samples: readonly TideSample[]): string[] {
  const figures = new TideFigures(samples)
  const lines: string[] = []
  for (const [stage, own] of Map.groupBy(samples, sample => sample.stage)) {
    const names = [...new Set(own.flatMap(sample => Object.keys(sample.figures)))]
    const series = [...new Set(own.map(sample => sample.series))]
    const text = (value: number | undefined): string =>
      value === undefined ? '' : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 3)
    const rows = series.map(each => [stage, each, ...names.map(name => text(figures.of(stage, each, name)))])
    lines.push('', ...table([['', '', ...names], ...rows]))
  }
  return lines
}
