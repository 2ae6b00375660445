// How much written by plain SQL the tide keeps up with: transactions of many rows, and of one row each, as fast as the database
// commits them; how far the marks are behind is watched all the while. The same writes without a tide say what the database can do here.
import { quantile } from './figures.ts'
import { LagWatch } from './lag.ts'
import { TideNode } from './node.ts'
import { processorMs } from './processor-time.ts'
import type { TideRun } from './run.ts'
import { BATCH, manyRows, oneRow, writeFor, type SqlLoad } from './sql-load.ts'

/** Rows in a second: some more than the bar, so that what pacing loses does not matter. */
const PACE = 10_500
/** The tide has caught up when it is no further behind. */
const CAUGHT_UP_MS = 300

interface Load extends SqlLoad {
  readonly series: string
}

const loads: readonly Load[] = [
  { series: 'batches', transaction: manyRows, rowsEach: BATCH, rowsPerSecond: PACE },
  { series: 'single rows', transaction: oneRow, rowsEach: 1, rowsPerSecond: PACE },
  { series: 'batches, unpaced', transaction: manyRows, rowsEach: BATCH },
  { series: 'single rows, unpaced', transaction: oneRow, rowsEach: 1 },
]

export async function measureFollow(run: TideRun): Promise<void> {
  const { scene } = run
  const node = await TideNode.open(scene.shared)
  try {
    for (let round = 0; round < run.rounds; round++) {
      // One of a kind is enough to see that it works.
      for (const load of run.smoke ? loads.filter(({ series }) => series !== 'batches, unpaced') : loads) {
        if (load.rowsPerSecond === undefined) {
          await scene.stopServer()
          const alone = await writeFor(run, load, run.smoke ? 1 : 6)
          run.keep({ stage: 'follow', series: `${load.series}, no tide`, round, figures: alone })
        }
        await scene.serve()
        const figures = await follow(run, load, node)
        run.keep({ stage: 'follow', series: load.series, round, figures })
        run.progress('follow')
      }
    }
  } finally {
    await node.close()
  }
}

async function follow(run: TideRun, load: Load, node: TideNode): Promise<Readonly<Record<string, number>>> {
  const { scene } = run
  const client = await scene.postgres.connect(scene.database)
  const watch = new LagWatch(client, node.tier)
  try {
    await caughtUp(watch)
    const from = watch.points.length
    const redisPids = scene.cluster.nodes.map(({ pid }) => pid)
    const before = await Promise.all([scene.serverPid, ...redisPids].map(processorMs))
    const written = await writeFor(run, load, run.smoke ? 1 : 6)
    const after = await Promise.all([scene.serverPid, ...redisPids].map(processorMs))
    const endedMs = performance.now()
    await caughtUp(watch)
    const caughtUpMs = performance.now() - endedMs
    const lags = watch.points.slice(from).map(({ lagMs }) => lagMs)
    const [tideMs, ...redisMs] = after.map((ms, i) => ms - before[i]!)
    return {
      ...written,
      lagP50Ms: quantile(lags, 0.5),
      lagP99Ms: quantile(lags, 0.99),
      lagMaxMs: quantile(lags, 1),
      caughtUpMs,
      // What the tide carried until it had all of it.
      followedPerSecond: (written.rowsPerSecond * written.seconds) / (written.seconds + caughtUpMs / 1_000),
      tideCores: tideMs! / 1_000 / written.seconds,
      tierCores: redisMs.reduce((sum, ms) => sum + ms, 0) / 1_000 / written.seconds,
    }
  } finally {
    await watch.stop()
    await client.end()
  }
}

async function caughtUp(watch: LagWatch): Promise<void> {
  const from = watch.points.length
  while (!watch.points.slice(from).some(({ lagMs }) => lagMs < CAUGHT_UP_MS)) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
