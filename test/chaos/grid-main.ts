// `npm run grid -- up|down|status`: a deployment to look at and to try things with, in the background. `up` starts a keeper
// process that holds everything (grid.ts) and the load; `down` ends exactly what the state file names.
// Not for: faults (main.ts starts a grid of its own).
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { sleep, systemClock } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import { messageOf } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { BOUND_MS } from './chaos-run.ts'
import { tideHolder } from './faults.ts'
import { Grid, missingBinaries } from './grid.ts'
import { known, readState, removeState, runs, signal, startOf, writeState } from './grid-state.ts'
import type { GridLoad, GridState } from './grid-state.ts'
import { History } from './history.ts'
import { beginHistory, Load } from './load.ts'

const usage = `npm run grid -- up|down|status [options]

  up      starts a cluster of six redis-server (three primaries, three replicas), a PostgreSQL with wal_level=logical and three
          Tidemark servers over both, with a table 'items' and a light load on it, all on loopback
  down    ends exactly these, and removes their data
  status  says what runs, where, who runs the tide, and what the load has seen

  --folder F   for the state, logs and data (${join(tmpdir(), 'tidemark-grid')})
  --no-load    without load
`

const options = {
  folder: { type: 'string', default: join(tmpdir(), 'tidemark-grid') },
  load: { type: 'boolean', default: true },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

const table = { rows: 2_000, passing: 200 }
const LIGHT = 10
const UP_MS = 180_000
const DOWN_MS = 30_000
const POLL_MS = 100
const STATE_EVERY_MS = 2_000

interface Asked {
  readonly folder: string
  readonly load: boolean
  readonly clock: Clock
}

const logFile = (folder: string): string => join(folder, 'grid.log')

async function up({ folder, load, clock }: Asked): Promise<number> {
  const missing = missingBinaries()
  if (missing !== undefined) throw new Error(missing)
  const before = readState(folder)
  if (before !== undefined && runs(before.keeper)) throw new Error(`a grid is up already: npm run grid -- down --folder ${folder}`) // prettier-ignore
  if (before !== undefined) await down({ folder, load, clock })
  mkdirSync(folder, { recursive: true })
  rmSync(logFile(folder), { force: true })
  const log = openSync(logFile(folder), 'a')
  const words = ['--conditions=tidemark-source', import.meta.filename, 'keep', '--folder', folder]
  const more = load ? [] : ['--no-load']
  const keeper = spawn(process.execPath, [...words, ...more], { detached: true, stdio: ['ignore', log, log] })
  keeper.unref()
  let told = 0
  for (let waited = 0; waited < UP_MS; waited += POLL_MS) {
    await sleep(clock, POLL_MS)
    const said = readFileSync(logFile(folder), 'utf8')
    process.stdout.write(said.slice(told))
    told = said.length
    if (readState(folder)?.phase === 'up') return status({ folder, load, clock })
    if (startOf(keeper.pid!) === undefined) throw new Error(`the grid did not come up; ${logFile(folder)} says why`)
  }
  throw new Error(`the grid is not up after ${UP_MS} ms; ${logFile(folder)} says how far it came, and 'down' ends it`)
}

async function down({ folder, clock }: Asked): Promise<number> {
  const state = readState(folder)
  if (state === undefined) {
    console.log(`There is no grid in ${folder}.`)
    return 0
  }
  if (signal(state.keeper, 'SIGTERM')) console.log('Ending the grid')
  for (let waited = 0; waited < DOWN_MS && runs(state.keeper); waited += POLL_MS) await sleep(clock, POLL_MS)
  // What is left when the keeper was killed, or is stuck. It may have started more since.
  for (const part of [state.keeper, ...(readState(folder) ?? state).parts]) {
    if (signal(part, 'SIGKILL')) console.log(`killed ${part.name}, pid ${part.pid}`)
  }
  for (const left of state.folders) rmSync(left, { recursive: true, force: true })
  removeState(folder)
  console.log('The grid is down.')
  return 0
}

async function status({ folder }: Asked): Promise<number> {
  const state = readState(folder)
  if (state === undefined) {
    console.log(`There is no grid in ${folder}. npm run grid -- up starts one.`)
    return 1
  }
  const all = [state.keeper, ...state.parts]
  for (const part of all) {
    const where = part.port === undefined ? '' : `${part.host}:${part.port}`
    console.log(`${part.name.padEnd(12)} ${where.padEnd(18)} pid ${String(part.pid).padEnd(8)} ${runs(part) ? 'runs' : 'does not run'}`) // prettier-ignore
  }
  const holder = await tideHolder(state.parts)
  console.log(`\nThe tide runs in ${holder?.name ?? 'none of them'}. The database: ${state.url ?? 'not up yet'}`)
  const { load } = state
  if (load !== undefined) console.log(`The load: ${load.reads} reads checked, ${load.violations} wrong, ${load.acknowledged} writes`) // prettier-ignore
  if (load?.firstViolation !== undefined) console.log(`VIOLATION (${load.firstViolation})`)
  const server = state.parts.find(part => part.name === 'tidemark-1')
  if (server !== undefined) console.log(`Try: npm run -s tidemark -- cli -p ${server.port} TM.READ items:7`)
  console.log(`Logs: ${join(folder, 'servers')}`)
  return all.every(runs) ? 0 : 1
}

function loadOf({ reads, violationCount, acknowledged, violations }: History): GridLoad {
  const [first] = violations
  return { reads, violations: violationCount, acknowledged, ...(first && { firstViolation: `${first.kind}: ${first.text}` }) } // prettier-ignore
}

/** Runs in the background until it is told to end. */
async function keep({ folder, load, clock }: Asked): Promise<number> {
  const keeper = known('keeper', process.pid)
  const ended = new Promise<void>(resolve => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  let state: GridState = { keeper, phase: 'starting', parts: [], folders: [] }
  const write = (more: Partial<GridState>): void => {
    state = { ...state, ...more }
    writeState(folder, state)
  }
  write({})
  const grid = await Grid.start({
    folder,
    table,
    namespaces: false,
    progress: line => console.log(line),
    started: (parts, folders) => write({ parts: parts.map(({ name, pid, host, port }) => known(name, pid, { host, port })), folders }), // prettier-ignore
  })
  const history = new History(table.rows + table.passing)
  await beginHistory(grid, history, clock)
  const random = seededRandom(process.pid)
  const running = load
    ? new Load({ grid, table, history, clock, random, boundMs: BOUND_MS, slowness: LIGHT })
    : undefined
  write({ phase: 'up', url: grid.postgres.url(), ...(load ? { load: loadOf(history) } : {}) })
  const stopped = ended.then(() => true)
  while (!(await Promise.race([stopped, sleep(clock, STATE_EVERY_MS).then(() => false)]))) {
    if (load) write({ load: loadOf(history) })
  }
  await running?.stop()
  await grid.close()
  return 0
}

const verbs = { up, down, status, keep } as const

try {
  const { values, positionals } = parseArgs({ options, allowPositionals: true, allowNegative: true })
  const verb = positionals[0] as keyof typeof verbs | undefined
  if (values.help) console.log(usage)
  else if (positionals.length !== 1 || verb === undefined || !Object.hasOwn(verbs, verb))
    throw new Error(`expected up, down or status\n\n${usage}`) // prettier-ignore
  else {
    const folder = resolve(values.folder)
    if (existsSync(folder) || verb === 'up' || verb === 'keep') mkdirSync(folder, { recursive: true })
    const code = await verbs[verb]({ folder, load: values.load, clock: systemClock() })
    process.exit(code)
  }
} catch (error) {
  console.error(`grid: ${messageOf(error)}`)
  process.exitCode = 2
}
