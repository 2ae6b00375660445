// What the benchmarks have in common on their command lines. Not for: what a benchmark alone takes, and what --help says of it.
import { randomInt } from 'node:crypto'

export const commonOptions = {
  only: { type: 'string', default: '' },
  rounds: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'string' },
  save: { type: 'boolean', default: false },
  smoke: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

/** Throws at what is none above 0. */
export function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} ${text}: expected a whole number above 0`)
}

/** The rounds, `rounds` unless it is said how many, and the seed, a random one unless it is said which. */
export function roundsAndSeed(
  values: { readonly rounds?: string | undefined; readonly seed?: string | undefined },
  rounds: number,
): { readonly rounds: number; readonly seed: number } {
  return {
    rounds: wholeNumber('rounds', values.rounds ?? String(rounds)),
    seed: wholeNumber('seed', values.seed ?? String(randomInt(1, 2 ** 31))),
  }
}

/** Those of `all` that --only names, in their order; all where it names none. Throws at a name that there is not. */
export function chosen(only: string, all: readonly string[]): readonly string[] {
  const names = only === '' ? all : only.split(',')
  for (const name of names) if (!all.includes(name)) throw new Error(`--only ${name}: there are ${all.join(', ')}`)
  return all.filter(name => names.includes(name))
}
