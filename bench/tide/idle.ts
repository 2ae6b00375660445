// What a server costs that nobody uses: processor time of the process that runs the tide, of the tier and of the database.
import { familyMs, processorMs } from './processor-time.ts'
import type { TideRun } from './run.ts'

export async function measureIdle(run: TideRun): Promise<void> {
  const { scene } = run
  await scene.serve()
  const seconds = run.smoke ? 1 : 8
  // What starting left to be done is done.
  await new Promise(resolve => setTimeout(resolve, run.smoke ? 200 : 5_000))
  for (let round = 0; round < run.rounds; round++) {
    const before = await take(run)
    const begunMs = performance.now()
    await new Promise(resolve => setTimeout(resolve, seconds * 1_000))
    const after = await take(run)
    const tookMs = performance.now() - begunMs
    for (const [series, ms] of Object.entries(after)) {
      run.keep({ stage: 'idle', series, round, figures: { coreShare: (ms - before[series]!) / tookMs } })
    }
    run.progress('idle')
  }
}

async function take({ scene }: TideRun): Promise<Record<string, number>> {
  const redis = await Promise.all(scene.cluster.nodes.map(({ pid }) => processorMs(pid)))
  return {
    server: await processorMs(scene.serverPid),
    tier: redis.reduce((sum, ms) => sum + ms, 0),
    database: await familyMs(scene.postgres.pid),
  }
}
