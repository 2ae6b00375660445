// The bars that the library is held to, each reached or not, from the samples of a run: medians over the rounds.
// Not for: measuring (scenes.ts).
import type { Bar } from '../samples.ts'
import { TideFigures } from '../tide/figures.ts'
import type { TideSample } from '../tide/sample.ts'

interface Ratio {
  readonly name: string
  readonly stage: string
  readonly over: readonly [series: string, figure: string]
  readonly under: readonly [series: string, figure: string]
  readonly wanted: number
  /** Whether the ratio is to be no more than that, not no less. */
  readonly atMost?: boolean
}

const peer = 'lru-cache'

const ratios: readonly Ratio[] = [
  { name: 'hit: CPU of lru-cache by ours', stage: 'hit', over: [peer, 'cpuNs'], under: ['near', 'cpuNs'], wanted: 1 },
  {
    name: 'hit with a proof: CPU of lru-cache by ours',
    stage: 'hit',
    over: [peer, 'cpuNs'],
    under: ['near, proved', 'cpuNs'],
    wanted: 0.5,
  },
  {
    name: 'read and fill: CPU of lru-cache by ours',
    stage: 'fill',
    over: [peer, 'cpuNs'],
    under: ['near', 'cpuNs'],
    wanted: 1.1,
  },
  {
    name: "read and fill: hit ratio by lru-cache's",
    stage: 'fill',
    over: ['near', 'hitShare'],
    under: [peer, 'hitShare'],
    wanted: 1,
  },
  {
    name: "heap of entries by lru-cache's",
    stage: 'heap',
    over: ['near', 'filledBytes'],
    under: [peer, 'filledBytes'],
    wanted: 1.3,
    atMost: true,
  },
  {
    name: "heap of entries by lru-cache's, all replaced",
    stage: 'heap',
    over: ['near', 'replacedBytes'],
    under: [peer, 'replacedBytes'],
    wanted: 1.3,
    atMost: true,
  },
]

/** The bars of the stages that were measured. */
export function libraryBars(samples: readonly TideSample[]): Bar[] {
  const figures = new TideFigures(samples)
  const measured = new Set(samples.map(({ stage }) => stage))
  return ratios
    .filter(({ stage }) => measured.has(stage))
    .map(({ name, stage, over, under, wanted, atMost = false }) => {
      const top = figures.of(stage, ...over)
      const bottom = figures.of(stage, ...under)
      const ratio = top === undefined || bottom === undefined ? NaN : top / bottom
      if (!Number.isFinite(ratio)) return { name, wanted: String(wanted), figure: 'not measured', reached: undefined }
      const reached = atMost ? ratio <= wanted : ratio >= wanted
      return { name, wanted: `${atMost ? '<=' : '>='} ${wanted}`, figure: ratio.toFixed(2), reached }
    })
}
