// `npm run bench -- tide [options]`: what the tide, the tier and the write path cost, on real servers that are started for the
// run: a Postgres, a cluster of three primaries, a Tidemark server. Prints each bar with what was measured.
// Not for: how fast the server is next to others (server.ts), faults (test/chaos/).
import { execFileSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { messageOf } from '../src/base/errors.ts'
import { seededRandom } from '../src/base/random.ts'
import { chosen, commonOptions, roundsAndSeed } from './arguments.ts'
import { describeMachine } from './machine.ts'
import { Progress } from './progress.ts'
import { loadLine, smokeLine, writeReport } from './report.ts'
import { barLines, headLines } from './tables.ts'
import { measureCalls } from './tide/calls.ts'
import { measureDrop } from './tide/drop.ts'
import { figureLines, tideBars } from './tide/figures.ts'
import { measureFollow } from './tide/follow.ts'
import { measureIdle } from './tide/idle.ts'
import { measureNearHits } from './tide/near-hits.ts'
import type { TideRun } from './tide/run.ts'
import type { TideReport, TideSample } from './tide/sample.ts'
import { TideScene } from './tide/scene.ts'
import { measureSetGet } from './tide/set-get.ts'

const usage = `npm run bench -- tide [options]

  --only LIST      of these: set, miss, set-get, near, drop, follow, idle
  --rounds N       measurements of each kind, taken in turns (5)
  --seed N         chooses the keys (random, and printed)
  --unflushed      Postgres with fsync off: commits wait for no disk, and cost next to nothing, bare ones too
  --json FILE      write all samples
  --save           write them to bench/results/tide-DATE-COMMIT.json
  --smoke          a small size, to see that it works: its figures say nothing
`

const options = { ...commonOptions, unflushed: { type: 'boolean', default: false } } as const

interface Stage {
  readonly names: readonly string[]
  /** Measurements, for each round. */
  readonly steps: number
  readonly measure: (run: TideRun) => Promise<void>
}

const stages: readonly Stage[] = [
  { names: ['idle'], steps: 1, measure: measureIdle },
  { names: ['set', 'miss'], steps: 1, measure: measureCalls },
  { names: ['set-get'], steps: 1, measure: measureSetGet },
  { names: ['near'], steps: 1, measure: measureNearHits },
  { names: ['drop'], steps: 1, measure: measureDrop },
  { names: ['follow'], steps: 4, measure: measureFollow },
]

const ROWS = 100_000

function installedVersions(): Record<string, string> {
  const versionOf = (program: string): string => /\d+\.[\d.]+/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown' // prettier-ignore
  return { redis: versionOf('redis-server'), load: versionOf('redis-benchmark') }
}

/** Runs the benchmark; `args` as on the command line. */
export async function benchTide(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options })
  if (values.help) {
    process.stderr.write(usage)
    return
  }
  if (process.platform !== 'linux') throw new Error('processor time is read from /proc: this benchmark needs Linux')
  const { smoke, unflushed } = values
  const names = stages.flatMap(stage => stage.names)
  const wanted = new Set(chosen(values.only, names))
  const { rounds, seed } = roundsAndSeed(values, smoke ? 1 : 5)
  const random = seededRandom(seed)
  const machine = await describeMachine()
  const startedMs = performance.now()
  const loadBefore = loadavg()[0]!
  const samples: TideSample[] = []
  const left: string[] = []
  const scene = await TideScene.start(smoke ? 1_000 : ROWS, !unflushed)
  const server = await scene.postgres.query<{ server_version: string }>('SHOW server_version')
  const versions = { ...installedVersions(), postgres: server[0]!.server_version }
  for (const line of headLines(machine, versions, { rounds, seed, pin: false })) console.log(line)
  const stagesWanted = stages.filter(({ names }) => names.some(name => wanted.has(name)))
  const progress = new Progress(stagesWanted.reduce((sum, { steps }) => sum + steps * rounds, 0))
  const run: TideRun = {
    scene,
    rounds,
    smoke,
    wants: stage => wanted.has(stage),
    random: below => random.below(below),
    keep: sample => void samples.push(sample),
    progress: stage => progress.step(stage),
  }
  try {
    for (const { names, measure } of stagesWanted) {
      progress.stage(names.join(', '))
      // What was measured before, and what comes after, is not lost with it.
      await measure(run).catch((error: unknown) => left.push(`${names.join(', ')}: ${messageOf(error)}`))
    }
  } finally {
    progress.end()
    await scene.close()
  }
  const bars = tideBars(samples)
  for (const line of [...figureLines(samples), ...barLines(bars)]) console.log(line)
  const loadAverage = [loadBefore, loadavg()[0]!] as const
  console.log(loadLine(loadAverage, machine))
  for (const line of left) console.log(`Not measured to the end: ${line}`)
  if (left.length > 0) process.exitCode = 1
  if (smoke) console.log(smokeLine)
  const seconds = Math.round((performance.now() - startedMs) / 1_000)
  const report: TideReport = { benchmark: 'tide', machine, versions, settings: { rounds, seed, smoke, unflushed }, seconds, loadAverage, left, bars, samples } // prettier-ignore
  writeReport(report, values)
}
