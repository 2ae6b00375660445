// `npm run test:sim -- [options]`: simulated deployments, one a seed (docs/internals/simulator.md).
import { globSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { Progress } from '../../src/cli/progress.ts'
import { mutate } from './mutate.ts'
import { mutations } from './mutations.ts'
import type { Focus } from './plan.ts'
import { reportOf } from './report.ts'

const usage = `npm run test:sim -- [options]

  --seeds N      how many seeds to run (1000)
  --seed S       the first of them (1)
  --mutate NAME  with one guard of the product taken out; 'list' names them, one a line
  --focus NAME   the deployments and faults in which that mutation is looked for, of the product as it is
  --only LIST    of a single seed, only these steps of its plan, by number
  --trace        of a single seed, everything that happens
  --play         the named schedules (schedules-*.test.ts) in the place of seeds
  --json         the counts and the violations as one line of JSON, and nothing else

Prints what was checked and how often, and ends with 1 when anything was wrong.
`
const SHRINK_RUNS_MAX = 400
const FAILURES_MAX = 5

const options = {
  seeds: { type: 'string', default: '1000' },
  seed: { type: 'string', default: '1' },
  mutate: { type: 'string' },
  focus: { type: 'string' },
  only: { type: 'string' },
  trace: { type: 'boolean', default: false },
  play: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

interface Options {
  readonly seeds: number
  readonly seed: number
  readonly mutate: string | undefined
  readonly focus: string | undefined
  readonly only: ReadonlySet<number> | undefined
  readonly trace: boolean
  readonly json: boolean
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value < 2 ** 40) return value
  throw new Error(`--${name} ${text}: expected a whole number from 1 on`)
}

function readOptions(values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values']): Options {
  for (const option of ['mutate', 'focus'] as const) {
    const name = values[option]
    if (name === undefined || mutations[name] !== undefined) continue
    throw new Error(`--${option} ${name}: there is no such mutation; --mutate list names them`)
  }
  const single = values.only !== undefined || values.trace
  return {
    seeds: single ? 1 : wholeNumber('seeds', values.seeds),
    seed: wholeNumber('seed', values.seed),
    mutate: values.mutate,
    focus: values.focus ?? values.mutate,
    only: values.only === undefined ? undefined : new Set(values.only.split(',').map(Number)),
    trace: values.trace,
    json: values.json,
  }
}

/** The command that runs this again. */
function commandOf({ mutate: mutation, focus }: Options, seed: number, more: string): string {
  const focused = focus === undefined || focus === mutation ? '' : ` --focus '${focus}'`
  const mutated = mutation === undefined ? focused : ` --mutate '${mutation}'${focused}`
  return `npm run test:sim -- --seed ${seed} --seeds 1${mutated}${more}`
}

async function runOne(asked: Options): Promise<number> {
  const { planOf } = await import('./swarm.ts')
  const { runPlan } = await import('./world.ts')
  const outcome = await runPlan(planOf(asked.seed, focusOf(asked), asked.only), asked.trace)
  for (const line of outcome.trace) console.log(line)
  console.log(outcome.violation === undefined ? 'nothing is wrong' : `WRONG: ${outcome.violation}`)
  return outcome.violation === undefined ? 0 : 1
}

/** One line, for the tests. */
async function runForTest(asked: Options): Promise<number> {
  const { runSwarm } = await import('./swarm.ts')
  const { counts, failures, seeds } = await runSwarm({ ...asked, focus: focusOf(asked), failuresMax: 1 })
  console.log(JSON.stringify({ seeds, counts, failures }))
  return failures.length === 0 ? 0 : 1
}

function focusOf({ focus }: Options): Focus {
  return focus === undefined ? {} : (mutations[focus]!.focus ?? {})
}

async function runMany(asked: Options): Promise<number> {
  const { runSwarm, planOf, shrink } = await import('./swarm.ts')
  const clock = systemClock()
  const progress = new Progress(process.stdout, clock, 'Simulating')
  const startedMs = clock.monotonicMs()
  const cpu = process.cpuUsage()
  const focus = focusOf(asked)
  const result = await runSwarm({
    ...asked,
    focus,
    failuresMax: FAILURES_MAX,
    progress: done => progress.update(done, asked.seeds, 'seeds'),
  })
  progress.close()
  const used = process.cpuUsage(cpu)
  const cpuMs = (used.user + used.system) / 1_000
  for (const line of reportOf(result, cpuMs, clock.monotonicMs() - startedMs)) console.log(line)
  for (const { seed, violation } of result.failures) {
    console.log(`\nWRONG in seed ${seed}: ${violation}\n${commandOf(asked, seed, '')}`)
  }
  const [first] = result.failures
  if (first === undefined) return 0
  console.log(`\nMaking seed ${first.seed} smaller...`)
  const plan = planOf(first.seed, focus, undefined)
  const kept = await shrink(plan, SHRINK_RUNS_MAX)
  for (const index of kept) {
    const { atMs, kind, dice } = plan.steps[index]!
    console.log(`  ${index}: at ${atMs.toFixed(2)} ms ${kind} (${dice.map(die => die.toFixed(2)).join(' ')})`)
  }
  console.log(
    `${kept.length} of ${plan.steps.length} steps:\n${commandOf(asked, first.seed, ` --only ${kept.join(',')} --trace`)}`,
  )
  return 1
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  if (values.mutate === 'list') {
    for (const name of Object.keys(mutations)) console.log(name)
    return 0
  }
  const asked = readOptions(values)
  if (asked.mutate !== undefined) {
    const loaded = mutate(asked.mutate, mutations[asked.mutate]!)
    await import('./world.ts')
    loaded()
  }
  if (values.play) {
    for (const file of globSync('schedules-*.test.ts', { cwd: import.meta.dirname }).toSorted())
      await import(`./${file}`)
    return 0
  }
  if (asked.only !== undefined || asked.trace) return runOne(asked)
  return asked.json ? runForTest(asked) : runMany(asked)
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`test:sim: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
