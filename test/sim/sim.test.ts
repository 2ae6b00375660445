// A smoke of the simulator: some seeds in which nothing is wrong and everything was tried, one seed twice, and a shrunk
// schedule. The long runs are `npm run test:sim`; that it finds holes is in mutations.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libraryKinds } from './library-plan.ts'
import { loglessKinds, valueKinds } from './logless-plan.ts'
import { faultKinds, statementKinds } from './plan.ts'
import { behindKinds, oldKinds } from './service-plan.ts'
import { simulate } from './simulate.ts'

interface Ran {
  readonly seeds: number
  readonly counts: Readonly<Record<string, number>>
  readonly failures: readonly unknown[]
}

const SEEDS = 400

/** What has to come up, and how often. */
const atLeast = {
  'checked: visible': 40_000,
  'checked: age': 40_000,
  'checked: old': 100,
  'checked: session': 2_000,
  'checked: write': 10_000,
  'checked: retention': 10_000,
  'checked: end': 4_000,
  'checked: increment': 1_000,
  'library read': 15_000,
  'library read at once': 1_500,
  'alone: read near': 4_000,
  'alone: read source': 3_000,
  'alone: read at once': 1_500,
  'old checked: age': 400,
  'old checked: own write': 5_000,
  'old: read stale': 50,
  'behind checked: read after a write': 1_500,
  'behind checked: shown': 1_500,
  'behind: write unknown': 10,
  'behind checked: end': 200,
  'read near': 10_000,
  'read tier': 10_000,
  'lease granted': 8_000,
  'fill filled': 5_000,
  'fill refused': 1_000,
  'fill other-epoch': 20,
  'put stored': 6_000,
  'put late': 150,
  'put newer': 80,
  'put uncertain': 80,
  'put other-epoch': 50,
  'void voided': 4_000,
  'apply applied': 50_000,
  'apply mismatch': 20,
  'reset reset': 1_000,
  'tide mismatch': 100,
  'logless checked: held': 15_000,
  'logless checked: age': 7_000,
  'logless checked: own write': 30_000,
  'logless checked: other write': 3_000,
  'logless checked: own unknown write': 10,
  'logless checked: end': 1_500,
  'logless read near': 3_000,
  'logless read tier': 3_000,
  'logless: begin fenced': 5_000,
  'logless: fenced put stored': 3_000,
  'logless: fenced put voided': 1_500,
  'logless: lease fenced': 30,
  'logless: renew granted': 1_500,
  'logless: renew leased': 250,
  'logless: hold held': 500,
  'logless: fill refused': 200,
  'logless: reset reset': 300,
  'logless checked: own clear': 1_000,
  'logless checked: other clear': 300,
  'logless peek something': 60,
  'values: get something': 700,
  'values: peek something': 150,
  'values: build something': 900,
  'values checked: age': 100,
  'values checked: own write': 6_000,
  'values checked: other write': 1_000,
  'values checked: own delete': 3_000,
  'values checked: own tag': 1_200,
  'values checked: other tag': 250,
  'values checked: own clear': 1_300,
  'values checked: other clear': 250,
  'values checked: end': 300,
}

test(`nothing is wrong in ${SEEDS} seeds, and every rule, operation and fault was tried`, async () => {
  const { counts, failures, seeds } = JSON.parse((await simulate(['--seeds', `${SEEDS}`, '--json'])).output) as Ran
  assert.deepEqual(failures, [])
  assert.equal(seeds, SEEDS)
  for (const [what, times] of Object.entries(atLeast)) {
    assert.ok((counts[what] ?? 0) >= times, `'${what}' came ${counts[what] ?? 0} times, not ${times}`)
  }
  for (const kind of [
    ...faultKinds,
    ...statementKinds,
    ...loglessKinds,
    ...valueKinds,
    ...libraryKinds,
    ...oldKinds,
    ...behindKinds,
  ]) {
    assert.ok((counts[kind] ?? 0) >= 20, `'${kind}' came ${counts[kind] ?? 0} times`)
  }
})

test('a session whose calls overlap while the database becomes another one does not go back', async () => {
  const { output, code } = await simulate(['--seed', '7101545', '--seeds', '1'])
  assert.equal(code, 0, output)
})

test('an old value of before a suspension of the machine is not answered as younger than it is', async () => {
  const { output, code } = await simulate(['--seed', '910098', '--seeds', '1', '--focus', 'old values: sessions'])
  assert.equal(code, 0, output)
})

test('values of functions do not outlive their time while the machine is suspended', async () => {
  for (const seed of [25, 64]) {
    const argv = ['--seed', `${seed}`, '--seeds', '1', '--focus', 'alone: changes in its own lanes']
    const { output, code } = await simulate(argv)
    assert.equal(code, 0, output)
  }
})

test('a process that shares no tier takes its log once the one before it has let it go, however late', async () => {
  const { output, code } = await simulate(['--seed', '919661', '--seeds', '1'])
  assert.equal(code, 0, output)
})

test('one seed is one run', async () => {
  for (const seed of [3, 17, 101]) {
    const one = await simulate(['--seed', `${seed}`, '--trace'])
    const other = await simulate(['--seed', `${seed}`, '--trace'])
    assert.ok(one.output.split('\n').length > 100)
    assert.ok(one.output === other.output, `seed ${seed} is two runs`)
  }
})

test('a failing seed is printed with the command that runs it again, and with fewer steps', async () => {
  const { output, code } = await simulate(['--seeds', '60', '--mutate', 'visibility gate'])
  assert.equal(code, 1)
  const again = /npm run test:sim -- (--seed .* --only \S+) --trace/.exec(output)
  assert.ok(again !== null, output)
  const argv = [...again[1]!.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
  const rerun = await simulate([...argv, '--trace'])
  assert.equal(rerun.code, 1)
  assert.match(rerun.output, /^WRONG: /m)
})
