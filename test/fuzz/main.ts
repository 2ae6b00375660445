// `npm run fuzz -- [options]`: fuzzes a server over the wire. See fuzzer.ts.
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Progress } from '../../src/cli/progress.ts'
import { fuzz } from './fuzzer.ts'
import type { FuzzResult } from './fuzzer.ts'

const usage = `npm run fuzz -- [options]

  --commands N   commands to send, about (1000000)
  --seed N       what to send; the same seed sends the same (any)
  --case N       only this connection of the seed, alone on a fresh server
`
const SEEDS = 2 ** 28
const SHOWN_BYTES = 2_000

const options = {
  commands: { type: 'string', default: '1000000' },
  seed: { type: 'string' },
  case: { type: 'string' },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

function wholeNumber(name: string, text: string, below: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0 && value < below) return value
  throw new Error(`--${name} ${text}: expected a whole number below ${below}`)
}

function report(result: FuzzResult, seed: number): string[] {
  const { flaw, smallest, before, after } = result
  const lines = [
    `${result.commands.toLocaleString('en-US')} commands on ${result.cases.toLocaleString('en-US')} connections ` +
      `(${Object.entries(result.kinds).map(([kind, count]) => `${count} ${kind}`).join(', ')})`, // prettier-ignore
    `the server executed ${after.commands.toLocaleString('en-US')}; threads died: ${after.deaths}, shards wiped: ${after.wipes}, ` +
      `connections open: ${after.connections}`,
    `resident memory ${before.residentMb} MB before, ${after.residentMb} MB after, ${after.residentMostMb} MB at most; on the way: ${result.residentMb.join(' ')}`,
    `witness: ${result.witnessRounds} rounds, ${result.witnessHits} values found again, slowest round ${result.witnessSlowestMs} ms`,
  ]
  if (flaw === undefined) return lines
  lines.push('', `WRONG: ${flaw}`, '')
  if (smallest === undefined) {
    lines.push('No connection does it alone. Again, all of them:')
    lines.push(`npm run fuzz -- --seed ${seed} --commands ${result.commands}`)
    return lines
  }
  const bytes = Buffer.concat(smallest.parts.map(part => part.bytes))
  lines.push(`Alone on a fresh server, this does it (${bytes.length} bytes, ${smallest.kind}):`)
  lines.push(JSON.stringify(bytes.toString('latin1', 0, SHOWN_BYTES)), 'Again, before it was made smaller:')
  lines.push(`npm run fuzz -- --seed ${seed} --case ${smallest.index}`)
  return lines
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const clock = systemClock()
  const seed = values.seed === undefined ? systemRandom().below(SEEDS) : wholeNumber('seed', values.seed, SEEDS)
  const progress = new Progress(process.stdout, clock, `Fuzzing, seed ${seed},`)
  const startedMs = clock.monotonicMs()
  const result = await fuzz({
    seed,
    commands: wholeNumber('commands', values.commands, 2 ** 32),
    onlyCase: values.case === undefined ? undefined : wholeNumber('case', values.case, 2 ** 25),
    clock,
    wrong: flaw => process.stdout.write(`\nWRONG: ${flaw}\nSearching for what does it alone...\n`),
    progress: (done, total) => progress.update(done, total, 'commands'),
  })
  progress.close()
  const seconds = (clock.monotonicMs() - startedMs) / 1_000
  process.stdout.write(`${report(result, seed).join('\n')}\n${seconds.toFixed(0)} s\n`)
  return result.flaw === undefined ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
