// The bars that the library is held to, each reached or not, from the samples of a run: medians over the rounds.
// Not for: measuring (scenes.ts).
import type { Bar } from '../samples.ts'
import { TideFigures } from '../tide/figures.ts'
import type { TideSample } from '../tide/sample.ts'

interface Ratio {
  readonly name: string
  readonly stage: string
  readonly over: readonly [series: string, figure: string]
  /** Without it the figure itself is meant. */
  readonly under?: readonly [series: string, figure: string]
  readonly wanted: number
  /** Whether the ratio is to be no more than that, not no less. */
  readonly atMost?: boolean
}

const peer = 'lru-cache'
const own = 'tidemark'

/** Time of theirs by ours: processor time, or where a server works too, time of the clock on the wall. */
function faster(name: string, stage: string, theirs: string, wanted: number, ours = own, figure = 'cpuNs'): Ratio {
  return { name, stage, over: [theirs, figure], under: [ours, figure], wanted }
}

function atMost(name: string, stage: string, series: string, figure: string, wanted: number): Ratio {
  return { name, stage, over: [series, figure], wanted, atMost: true }
}

const ratios: readonly Ratio[] = [
  faster('peek hit: CPU of lru-cache by ours', 'hit', peer, 1),
  faster('peek hit with a proof: CPU of lru-cache by ours', 'hit', peer, 0.5, 'tidemark, proved'),
  faster('peek and fill: CPU of lru-cache by ours', 'fill', peer, 1.1),
  {
    name: "peek and fill: hit ratio by lru-cache's",
    stage: 'fill',
    over: [own, 'hitShare'],
    under: [peer, 'hitShare'],
    wanted: 1,
  },
  faster('await get: CPU of awaited lru-cache by ours', 'get', peer, 0.8),
  faster('await get: CPU of BentoCache by ours', 'get', 'BentoCache', 5),
  faster('await get: CPU of cacheable by ours', 'get', 'cacheable', 15),
  faster("await get: CPU of node-redis' client-side cache by ours", 'get', 'node-redis, client-side cache', 7),
  faster('await get: time of node-redis over loopback by ours', 'get', 'node-redis, 100 at a time', 25, own, 'wallNs'),
  atMost('1,000 misses of one key: loads', 'misses', 'one key', 'loads', 1),
  atMost('1,000 misses of 1,000 keys, maxBatch 100: queries', 'misses', 'as many keys', 'loads', 10),
  { ...atMost("heap of entries by lru-cache's", 'heap', own, 'filledBytes', 1.3), under: [peer, 'filledBytes'] },
  {
    ...atMost("heap of entries by lru-cache's, all replaced", 'heap', own, 'replacedBytes', 1.3),
    under: [peer, 'replacedBytes'],
  },
  atMost('import, ms more than an empty module', 'import', 'cold', 'importMs', 30),
]

/** The bars of the stages that were measured. */
export function libraryBars(samples: readonly TideSample[]): Bar[] {
  const figures = new TideFigures(samples)
  const measured = new Set(samples.map(({ stage }) => stage))
  return ratios
    .filter(({ stage }) => measured.has(stage))
    .map(({ name, stage, over, under, wanted, atMost: most = false }) => {
      const top = figures.of(stage, ...over)
      const bottom = under === undefined ? 1 : figures.of(stage, ...under)
      const ratio = top === undefined || bottom === undefined ? NaN : top / bottom
      if (!Number.isFinite(ratio)) return { name, wanted: String(wanted), figure: 'not measured', reached: undefined }
      const reached = most ? ratio <= wanted : ratio >= wanted
      return { name, wanted: `${most ? '<=' : '>='} ${wanted}`, figure: ratio.toFixed(2), reached }
    })
}
