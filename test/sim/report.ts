// What a run of many seeds came to, as lines. A run in which little is checked proves nothing, so all that was checked, tried
// and broken is counted.
import { clientKinds, faultKinds, statementKinds } from './plan.ts'
import { libraryKinds } from './library-plan.ts'
import { loglessKinds, valueKinds } from './logless-plan.ts'
import { behindKinds, oldKinds } from './service-plan.ts'
import type { SwarmResult } from './swarm.ts'

type Counts = Readonly<Record<string, number>>

function number(n: number): string {
  return n.toLocaleString('en-US')
}

function list(
  title: string,
  counts: Counts,
  names: readonly string[],
  shorten: (name: string) => string = name => name,
): string {
  // prettier-ignore
  return `${title}: ${names.map(name => `${shorten(name)} ${number(counts[name] ?? 0)}`).join(', ')}`
}

function sum(counts: Counts, names: readonly string[]): number {
  return names.reduce((total, name) => total + (counts[name] ?? 0), 0)
}

const taken = ['lease granted', 'fill filled', 'put stored', 'void voided', 'apply applied', 'reset reset', 'begin fenced', 'fenced put stored'] // prettier-ignore

/** Sources without a log: what was checked of them, and how much could not be. */
function loglessLines(counts: Counts, named: (prefix: string) => string[]): string[] {
  const reads = named('logless read ').filter(name => !name.endsWith('SOURCE_TIMEOUT'))
  const writes = [...named('logless checked: own'), ...named('logless checked: other')]
  const skipped = named('logless skipped: ')
  const promises = sum(counts, writes) + sum(counts, skipped)
  const share = promises === 0 ? 0 : (100 * sum(counts, writes)) / promises
  return [
    list(`without a log, reads ${number(sum(counts, reads))}`, counts, reads, name =>
      name.slice('logless read '.length),
    ),
    list('without a log, rules', counts, named('logless checked: '), name => name.slice('logless checked: '.length)),
    list(`without a log, writes held against reads ${share.toFixed(0)}%; skipped`, counts, skipped, name => name.slice('logless skipped: '.length)), // prettier-ignore
    list('without a log, operations', counts, named('logless: '), name => name.slice('logless: '.length)),
    list('without a log, users', counts, loglessKinds, name => name.slice('logless '.length)),
  ]
}

/** Keyspaces of functions in processes that share no tier. */
function serviceLines(counts: Counts, named: (prefix: string) => string[]): string[] {
  const short = (prefix: string) => (name: string) => name.slice(prefix.length)
  return [
    list('old values, reads', counts, named('old: read '), short('old: read ')),
    list('old values, rules', counts, [...named('old checked: '), ...named('old skipped: ')], short('old ')),
    list('written behind', counts, named('behind: '), short('behind: ')),
    list('written behind, rules', counts, named('behind checked: '), short('behind checked: ')),
    list('of these, users', counts, [...oldKinds, ...behindKinds]),
  ]
}

/** Of processes with the library in them, over shared lanes. */
function valueLines(counts: Counts, named: (prefix: string) => string[]): string[] {
  const short = (name: string): string => name.slice('values: '.length)
  const rule = (name: string): string => name.slice('values '.length)
  return [
    list('values of the cache alone', counts, named('values: '), short),
    list('functions, out of memory', counts, named('logless peek '), name => name.slice('logless peek '.length)),
    list('of these, rules', counts, [...named('values checked: '), ...named('values skipped: ')], rule),
    list('of these, users', counts, valueKinds, name => name.slice('value '.length)),
  ]
}

export function reportOf(result: SwarmResult, cpuMs: number, wallMs: number): string[] {
  const { counts, seeds, events, failures } = result
  const named = (prefix: string): string[] =>
    Object.keys(counts)
      .filter(name => name.startsWith(prefix))
      .toSorted()
  const operations = ['lease ', 'fill ', 'put ', 'void ', 'apply ', 'reset ', 'begin ', 'fenced put '].flatMap(named)
  const refused = operations.filter(name => !taken.includes(name))
  const answers = ['read near', 'read tier', 'read source', 'read untold']
  return [
    `${number(seeds)} seeds, ${number(events)} events, ${(cpuMs / seeds).toFixed(1)} ms of CPU a seed, ${(wallMs / 1_000).toFixed(0)} s`,
    list(`reads checked ${number(sum(counts, answers))}`, counts, [...answers, 'read stale', 'read from an isolated database', 'read of what a trigger overwrote'], name => name.slice('read '.length)), // prettier-ignore
    `of them by the library ${number(counts['library read'] ?? 0)}, by its synchronous path ${number(counts['library read at once'] ?? 0)}`,
    list('of them by processes that share no tier', counts, named('alone: '), name =>
      name.slice('alone: read '.length),
    ),
    ...serviceLines(counts, named),
    list('rules', counts, named('checked: '), name => name.slice('checked: '.length)),
    list(`operations taken ${number(sum(counts, taken))}`, counts, taken),
    list(`operations refused ${number(sum(counts, refused))}`, counts, refused),
    list('tier', counts, named('tier ')),
    list('tide', counts, [...named('tide opened'), ...named('tide ended'), ...named('tide reset'), ...named('tide mismatch')]), // prettier-ignore
    list('errors told', counts, [...named('read SOURCE'), ...named('read S'), ...named('write S')].filter((name, at, all) => all.indexOf(name) === at)), // prettier-ignore
    list('users', counts, [...clientKinds, ...libraryKinds]),
    ...loglessLines(counts, named),
    ...valueLines(counts, named),
    list('statements', counts, statementKinds),
    list('faults', counts, faultKinds),
    `violations: ${failures.length}`,
  ]
}
