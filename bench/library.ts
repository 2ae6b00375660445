// `npm run bench -- library [options]`: Tidemark inside a process beside the caches that people use there. Each measurement has a
// process of its own (library/child-main.ts), and what is compared is measured in turns, so that what drifts on the
// machine falls on all alike. Not for: the server (server.ts), what is shared between processes (tide.ts).
import { execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { chosen, commonOptions, roundsAndSeed } from './arguments.ts'
import { asyncContenders } from './library/async-contenders.ts'
import { libraryBars } from './library/bars.ts'
import { makeImportProject } from './library/importing.ts'
import type { Figures, Job } from './library/scenes.ts'
import { describeMachine } from './machine.ts'
import type { Machine } from './machine.ts'
import { Progress } from './progress.ts'
import { loadLine, smokeLine, writeReport } from './report.ts'
import type { Bar } from './samples.ts'
import { barLines, headLines } from './tables.ts'
import { figureLines } from './tide/figures.ts'
import type { TideSample } from './tide/sample.ts'

const usage = `npm run bench -- library [options]

  --only LIST      of the stages that --list tells
  --list           say which there are, and what is compared in each
  --rounds N       measurements of each kind, taken in turns (5)
  --seed N         chooses the keys (random, and printed)
  --json FILE      write all samples
  --save           write them to bench/results/library-DATE-COMMIT.json
  --smoke          a small size, to see that it works: its figures say nothing
`

const options = { ...commonOptions, list: { type: 'boolean', default: false } } as const

export interface LibraryReport {
  readonly benchmark: 'library'
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly settings: { readonly rounds: number; readonly seed: number; readonly smoke: boolean }
  readonly seconds: number
  readonly loadAverage: readonly [before: number, after: number]
  readonly bars: readonly Bar[]
  readonly samples: readonly TideSample[]
}

/** By stage: what is compared in it. */
const stages: Readonly<Record<string, readonly string[]>> = {
  hit: ['tidemark', 'tidemark, proved', 'near', 'near, proved', 'lru-cache', 'tiny-lru'],
  fill: ['tidemark', 'near', 'lru-cache', 'tiny-lru'],
  get: Object.keys(asyncContenders),
  misses: ['one key', 'as many keys'],
  heap: ['tidemark', 'near', 'lru-cache', 'tiny-lru'],
  import: ['cold', 'warm'],
}

function installedVersions(): Record<string, string> {
  const manifest = readFileSync(resolve(import.meta.dirname, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { devDependencies: Record<string, string> }).devDependencies
}

async function measure(job: Job): Promise<Figures> {
  const entry = resolve(import.meta.dirname, 'library/child-main.ts')
  const args = ['--expose-gc', '--conditions=tidemark-source', entry, JSON.stringify(job)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Figures
}

/** What is compared is measured in turns, in an order that turns around. */
async function measureAll(
  wanted: readonly string[],
  rounds: number,
  seed: number,
  smoke: boolean,
): Promise<TideSample[]> {
  const samples: TideSample[] = []
  const project = wanted.includes('import') ? makeImportProject() : undefined
  const progress = new Progress(wanted.reduce((sum, stage) => sum + stages[stage]!.length * rounds, 0))
  try {
    for (const stage of wanted) {
      progress.stage(stage)
      for (let round = 0; round < rounds; round++) {
        const inTurn = round % 2 === 0 ? stages[stage]! : stages[stage]!.toReversed()
        for (const series of inTurn) {
          samples.push({ stage, series, round, figures: await measure({ stage, series, seed, smoke, project }) })
          progress.step(`${stage}, ${series}`)
        }
      }
    }
  } finally {
    if (project !== undefined) rmSync(project, { recursive: true, force: true })
  }
  progress.end()
  return samples
}

/** Runs the benchmark; `args` as on the command line. */
export async function benchLibrary(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options })
  if (values.help) {
    process.stderr.write(usage)
    return
  }
  if (values.list) {
    for (const [stage, series] of Object.entries(stages)) console.log(`${stage}: ${series.join('; ')}`)
    return
  }
  const { smoke } = values
  const wanted = chosen(values.only, Object.keys(stages))
  const { rounds, seed } = roundsAndSeed(values, smoke ? 1 : 5)
  const machine = await describeMachine()
  const versions = installedVersions()
  const startedMs = performance.now()
  const loadBefore = loadavg()[0]!
  const about = headLines(machine, versions, { rounds, seed, pin: false }).slice(0, 3)
  for (const line of [...about, `load      ${rounds} rounds, seed ${seed}, a process for each measurement`])
    console.log(line)
  const samples = await measureAll(wanted, rounds, seed, smoke)
  const bars = libraryBars(samples)
  for (const line of [...figureLines(samples), ...barLines(bars)]) console.log(line)
  const loadAverage = [loadBefore, loadavg()[0]!] as const
  console.log(loadLine(loadAverage, machine))
  if (smoke) console.log(smokeLine)
  const seconds = Math.round((performance.now() - startedMs) / 1_000)
  const report: LibraryReport = { benchmark: 'library', machine, versions, settings: { rounds, seed, smoke }, seconds, loadAverage, bars, samples } // prettier-ignore
  writeReport(report, values)
}
