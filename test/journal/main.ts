// `npm run test:journal -- [options]`: kills a real process that writes to a real journal, many times. See kill-rounds.ts, and with
// --library test/library/behind/kill-rounds.ts.
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Progress } from '../../src/cli/progress.ts'
import { behindKillRounds } from '../library/behind/kill-rounds.ts'
import { killRounds } from './kill-rounds.ts'

const usage = `npm run test:journal -- [options]

  --library      keyspaces that write behind, over SQLite and functions, instead of the journal alone
  --rounds N     times the process is killed (50)
  --seed N       when it is killed, and how its last file is torn (any; the disk's speed has a say, too)
`
const SEEDS = 2 ** 28

const options = {
  rounds: { type: 'string', default: '50' },
  seed: { type: 'string' },
  library: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0 && value < SEEDS) return value
  throw new Error(`--${name} ${text}: expected a whole number from 1 to ${SEEDS - 1}`)
}

async function journal(rounds: number, seed: number, progress: (round: number) => void): Promise<string> {
  const report = await killRounds(rounds, seed, progress)
  const { acknowledged, replayed, unacknowledged, tornEnds, early } = report
  return (
    `${acknowledged} entries acknowledged or found, none of them missing; handed out ${replayed} times, ` +
    `${unacknowledged} of them not acknowledged; torn ends added: ${tornEnds}; killed before anything was acknowledged: ${early}`
  )
}

async function library(rounds: number, seed: number, progress: (round: number) => void): Promise<string> {
  const { acknowledged, reads, stored, onlyInJournal } = await behindKillRounds(rounds, seed, progress)
  return (
    `${acknowledged} writes acknowledged, none of them missing; ${reads} reads checked, and ${stored} values of the databases; ` +
    `found in the journal alone after a kill: ${onlyInJournal}`
  )
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  const rounds = wholeNumber('rounds', values.rounds)
  const seed = values.seed === undefined ? 1 + systemRandom().below(SEEDS - 1) : wholeNumber('seed', values.seed)
  const progress = new Progress(process.stdout, systemClock(), `Killing, seed ${seed},`)
  try {
    const update = (round: number): void => progress.update(round, rounds, 'rounds')
    const told = values.library ? await library(rounds, seed, update) : await journal(rounds, seed, update)
    progress.close()
    process.stdout.write(`${rounds} processes killed; ${told}\n`)
  } catch (error) {
    progress.close()
    const command = `npm run test:journal --${values.library ? ' --library' : ''} --rounds ${rounds} --seed ${seed}`
    throw new Error(command, { cause: error })
  }
}

await main()
