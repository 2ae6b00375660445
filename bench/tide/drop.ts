// How long a commit by plain SQL takes to the last near cache: one row after the other at a moderate pace, three near caches
// in processes of their own, one of which runs the tide. Attributed to the stages that it passes.
//
//   commit   COMMIT sent, until the database has answered it
//   told     COMMIT sent, until the tide is told of it by the log
//   seen     from there, until a snapshot has shown it
//   asked    from there, until the lane's step is handed to the client of the tier
//   near     from there, until the last near cache has it out; what the tier's answer takes is beside that
//
// Not for: what clients of servers see of it, faults (test/chaos/).
import type pg from 'pg'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { BenchProcess } from './child.ts'
import type { DropNote } from './drop-notes.ts'
import { quantile } from './figures.ts'
import type { NodePlace } from './node.ts'
import type { TideRun } from './run.ts'
import { TABLE } from './scene.ts'

const NEAR_CACHES = 3
const COMMITS_PER_SECOND = 100
/** Of the stages, those that are no times. */
const COUNTS: ReadonlySet<string> = new Set(['snapshots', 'steps under way'])
const UPDATE = `UPDATE ${TABLE} SET amount = amount + 1 WHERE id = $1 RETURNING pg_current_xact_id()::text AS xid`

interface Commit {
  readonly xid: string
  readonly sentMs: number
  readonly answeredMs: number
}

type Notes = Readonly<Record<string, DropNote>>
type NearProcess = BenchProcess<NodePlace, Notes>

/** Of one commit: by stage, in ms. */
type Stages = Readonly<Record<string, number>>

export async function measureDrop(run: TideRun): Promise<void> {
  const { scene } = run
  await scene.stopServer()
  const client = await scene.postgres.connect(scene.database)
  try {
    for (let round = 0; round < run.rounds; round++) {
      const near: NearProcess[] = Array.from(
        { length: NEAR_CACHES },
        () => new BenchProcess('drop-main.ts', scene.shared),
      )
      try {
        await keep(run, client, near, round)
      } finally {
        for (const each of near) each.end()
      }
      run.progress('drop')
    }
  } finally {
    await client.end()
  }
}

async function keep(run: TideRun, client: pg.Client, near: readonly NearProcess[], round: number): Promise<void> {
  await Promise.all(near.map(each => each.ready()))
  // Code is compiled.
  await commitFor(run, client, run.smoke ? 200 : 3_000)
  const commits = await commitFor(run, client, run.smoke ? 500 : 10_000)
  await new Promise(resolve => setTimeout(resolve, 500))
  for (const each of near) each.go()
  const notes = await Promise.all(near.map(each => each.report()))
  const found = commits.map(commit => stagesOf(commit, notes)).filter(stages => stages !== undefined)
  if (found.length < commits.length * 0.99) throw new Error(`of ${commits.length} commits ${found.length} came to all near caches as changes`) // prettier-ignore
  for (const series of Object.keys(found[0]!)) {
    const values = found.map(stages => stages[series]!)
    run.keep({
      stage: 'drop',
      series,
      round,
      figures: { commits: found.length, ...spread(values, COUNTS.has(series)) },
    })
  }
}

function spread(values: readonly number[], isCount: boolean): Readonly<Record<string, number>> {
  const [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1].map(share => quantile(values, share)) as [number, number, number, number] // prettier-ignore
  return isCount ? { p50, p90, p99, max } : { p50Ms: p50, p90Ms: p90, p99Ms: p99, maxMs: max }
}

/** Commits one row after the other, at the pace that is wanted but never at equal distances. */
async function commitFor(run: TideRun, client: pg.Client, ms: number): Promise<Commit[]> {
  const clock = systemClock()
  const commits: Commit[] = []
  const begunMs = clock.monotonicMs()
  let dueMs = begunMs
  while (clock.monotonicMs() - begunMs < ms) {
    commits.push(await commit(run, client, clock))
    dueMs += (run.random(2_000) + 1) / COMMITS_PER_SECOND
    await new Promise(resolve => setTimeout(resolve, Math.max(0, dueMs - clock.monotonicMs())))
  }
  return commits
}

async function commit(run: TideRun, client: pg.Client, clock: Clock): Promise<Commit> {
  await client.query('BEGIN')
  const { rows } = await client.query<{ xid: string }>({ text: UPDATE, name: 'update', values: [run.random(run.scene.rows) + 1] }) // prettier-ignore
  const sentMs = clock.monotonicMs()
  await client.query('COMMIT')
  return { xid: rows[0]!.xid, sentMs, answeredMs: clock.monotonicMs() }
}

/** undefined where a step was lost on the way, or the lane was dropped as a whole. */
function stagesOf({ xid, sentMs, answeredMs }: Commit, notes: readonly Notes[]): Stages | undefined {
  const tide = notes.map(each => each[xid]).find(note => note?.appliedMs !== undefined)
  const nearMs = notes.map(each => each[xid]?.nearMs)
  if (tide === undefined || nearMs.includes(undefined)) return undefined
  const { toldMs, snapshots, seenMs, askedMs, underWay, appliedMs } = tide
  const lastMs = Math.max(...(nearMs as number[]))
  return {
    'commit answered': answeredMs - sentMs,
    'told by the log': toldMs! - sentMs,
    'seen by a snapshot': seenMs! - toldMs!,
    'asked of the tier': askedMs! - seenMs!,
    'in the last near cache': Math.max(0, lastMs - askedMs!),
    'answered by the tier': appliedMs! - askedMs!,
    snapshots: snapshots!,
    'steps under way': underWay!,
    'all, since sent': lastMs - sentMs,
    'all, since answered': Math.max(0, lastMs - answeredMs),
  }
}
