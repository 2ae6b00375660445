// `npm run test:chaos -- [options]`: real servers under real faults (docs/internals/chaos.md).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { chooseFaults, runChaos } from './chaos-run.ts'
import { faults } from './faults.ts'
import { Grid, missingBinaries } from './grid.ts'
import { READERS_PER_SERVER } from './load.ts'
import { reportOf } from './report.ts'

const usage = `npm run test:chaos -- [options]

  --seconds N       how long faults go on (300)
  --quiet N         seconds without faults before, for the figures of a healthy deployment (10)
  --readers N       connections to each server that read in bulk (4): more check more, and are more to bear for what is slow
  --seed S          which faults in which order, and the load (1)
  --only A,B        only these faults; 'list' names them
  --json FILE       the raw figures too
  --no-namespaces   everything on loopback: no partitions

Starts a cluster of six redis-server, a Postgres, three Tidemark servers and two services with the library in them, reads and
writes through all of them and by SQL while one fault follows another, and checks every answer. Ends with 1 when anything was wrong.
`

const options = {
  seconds: { type: 'string', default: '300' },
  readers: { type: 'string', default: String(READERS_PER_SERVER) },
  quiet: { type: 'string', default: '10' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string' },
  json: { type: 'string' },
  'no-namespaces': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

const LIBRARIES = 2

const table = { rows: 2_000, passing: 200 }

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value < 2 ** 31) return value
  throw new Error(`--${name} ${text}: expected a whole number from 1 on`)
}

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']

async function run(values: Values): Promise<number> {
  const seconds = wholeNumber('seconds', values.seconds)
  const readers = wholeNumber('readers', values.readers)
  const quietSeconds = wholeNumber('quiet', values.quiet)
  const seed = wholeNumber('seed', values.seed)
  const only = values.only?.split(',')
  // A wrong name is told before anything is started.
  chooseFaults(
    { namespaces: '' },
    only?.filter(name => !faults.some(fault => fault.name === name)),
  )
  const missing = missingBinaries()
  if (missing !== undefined) {
    console.error(`!!!! SKIPPED: chaos did not run: ${missing}`)
    return 1
  }
  const clock = systemClock()
  const startMs = clock.monotonicMs()
  const progress = (line: string): void => {
    console.log(`${((clock.monotonicMs() - startMs) / 1000).toFixed(1).padStart(6)} s  ${line}`)
  }
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-chaos-'))
  const grid = await Grid.start({
    folder,
    table,
    namespaces: !values['no-namespaces'],
    libraries: LIBRARIES,
    nodeTimeoutMs: 1_500,
    progress,
  })
  let wrong = true
  try {
    if (typeof grid.namespaces === 'string')
      console.log(`!!!! NO PARTITIONS: no network namespaces: ${grid.namespaces}`)
    const outcome = await runChaos({ grid, table, seed, seconds, quietSeconds, readers, only, clock, progress })
    console.log(`\n${reportOf(outcome)}`)
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(outcome, undefined, 2)}\n`)
    wrong = outcome.violationCount > 0 || outcome.reads === 0
  } finally {
    await grid.close()
    if (wrong) console.error(`What the servers said is in ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
  return wrong ? 1 : 0
}

// Whatever this has started ends with it, by listeners of its exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

try {
  const { values } = parseArgs({ options })
  if (values.help) console.log(usage)
  else if (values.only === 'list') for (const { name, help } of faults) console.log(`${name.padEnd(16)} ${help}`)
  else process.exitCode = await run(values)
} catch (error) {
  console.error(`test:chaos: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  process.exitCode = 2
}
