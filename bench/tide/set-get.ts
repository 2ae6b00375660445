// Whether a row that was just written through Tidemark is in the tier: one node writes it, another one that does not hold it
// reads it at once. Quiet, while other rows are written by plain SQL at the rate that is wanted, and while several processes write
// them through Tidemark, as far as they come.
import { BenchProcess } from './child.ts'
import { TideNode } from './node.ts'
import type { TideRun } from './run.ts'
import { oneRow, writeFor } from './sql-load.ts'
import type { WriterPlan, WriterReport } from './writer-main.ts'

const PROCESSES = 2
const WRITES_PER_SECOND = 5_000
const PROBE_EVERY_MS = 10

export async function measureSetGet(run: TideRun): Promise<void> {
  await run.scene.serve()
  const writer = await TideNode.open(run.scene.shared)
  const reader = await TideNode.open(run.scene.shared)
  try {
    await probe(run, writer, reader, 1_000)
    for (let round = 0; round < run.rounds; round++) {
      const quiet = await probe(run, writer, reader, run.smoke ? 200 : 3_000)
      run.keep({
        stage: 'set-get',
        series: 'quiet',
        round,
        figures: { ...quiet, writesPerSecond: quiet.probesPerSecond },
      })
      run.keep({ stage: 'set-get', series: 'busy by SQL', round, figures: await underSql(run, writer, reader) })
      run.keep({ stage: 'set-get', series: 'busy', round, figures: await underLoad(run, writer, reader) })
      run.progress('set-get')
    }
  } finally {
    await reader.close()
    await writer.close()
  }
}

interface Probed extends Readonly<Record<string, number>> {
  readonly hitShare: number
  readonly probesPerSecond: number
}

async function probe(run: TideRun, writer: TideNode, reader: TideNode, ms: number): Promise<Probed> {
  const begunMs = performance.now()
  const from = { near: 0, tier: 0, source: 0 }
  let probes = 0
  while (performance.now() - begunMs < ms) {
    const id = run.random(run.scene.rows) + 1
    await writer.set(id, `written ${probes}`, probes)
    from[(await reader.get(id)).tier]++
    probes++
    await new Promise(resolve => setTimeout(resolve, PROBE_EVERY_MS))
  }
  const seconds = (performance.now() - begunMs) / 1_000
  // What the reader holds near is the row of before, unless it was told already: then it comes from the tier too.
  return {
    hitShare: (from.near + from.tier) / probes,
    nearShare: from.near / probes,
    probes,
    probesPerSecond: probes / seconds,
  }
}

async function underLoad(run: TideRun, writer: TideNode, reader: TideNode): Promise<Readonly<Record<string, number>>> {
  const plan: WriterPlan = {
    place: { ...run.scene.shared, connectionsMax: 8 },
    rows: run.scene.rows,
    writesPerSecond: (run.smoke ? 200 : WRITES_PER_SECOND) / PROCESSES,
    seconds: run.smoke ? 1 : 5,
  }
  const processes = Array.from(
    { length: PROCESSES },
    () => new BenchProcess<WriterPlan, WriterReport>('writer-main.ts', plan),
  )
  try {
    await Promise.all(processes.map(each => each.ready()))
    for (const each of processes) each.go()
    await new Promise(resolve => setTimeout(resolve, run.smoke ? 200 : 1_000))
    const probed = await probe(run, writer, reader, run.smoke ? 300 : 3_000)
    const reports = await Promise.all(processes.map(each => each.report()))
    const writesPerSecond = reports.reduce((sum, { writes, seconds }) => sum + writes / seconds, 0)
    return { ...probed, writesPerSecond }
  } finally {
    for (const each of processes) each.end()
  }
}

async function underSql(run: TideRun, writer: TideNode, reader: TideNode): Promise<Readonly<Record<string, number>>> {
  const rowsPerSecond = run.smoke ? 200 : WRITES_PER_SECOND * 1.05
  const written = writeFor(
    run,
    { transaction: oneRow, rowsEach: 1, rowsPerSecond, asynchronous: true },
    run.smoke ? 1 : 5,
  )
  await new Promise(resolve => setTimeout(resolve, run.smoke ? 200 : 1_000))
  const probed = await probe(run, writer, reader, run.smoke ? 300 : 3_000)
  return { ...probed, writesPerSecond: (await written).rowsPerSecond }
}
