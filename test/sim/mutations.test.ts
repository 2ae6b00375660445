// That the simulator has teeth: with any one guard of the product taken out, it finds what goes wrong, within the number of
// seeds that the table (and docs/internals/simulator.md) states. Not for: the named schedules (mutations-schedules.test.ts).
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { mutations } from './mutations.ts'
import { simulate } from './simulate.ts'

const AT_A_TIME = 2

void test('with a guard taken out', { concurrency: AT_A_TIME }, async suite => {
  const all: Promise<void>[] = []
  for (const [name, { seeds, schedules }] of Object.entries(mutations)) {
    if (seeds === undefined) {
      assert.ok(schedules.length > 0, `'${name}' is found by schedules, if not by seeds`)
      continue
    }
    all.push(
      suite.test(`'${name}' is found within ${seeds} seeds`, async () => {
        const { output, code } = await simulate(['--seeds', `${seeds}`, '--json', '--mutate', name])
        assert.equal(code, 1, output.slice(-2_000))
        const { failures } = JSON.parse(output) as { failures: readonly { violation: string }[] }
        assert.equal(failures.length, 1)
      }),
    )
  }
  await Promise.all(all)
})

test('a mutation that is not in the product any more fails loudly', async () => {
  const { output, code } = await simulate(['--seeds', '1', '--mutate', 'no such guard'])
  assert.equal(code, 2)
  assert.match(output, /there is no such mutation/)
})

test('the docs state the seeds of every mutation', () => {
  const docs = readFileSync(resolve(import.meta.dirname, '../../docs/internals/simulator.md'), 'utf8')
  const rows = docs.split('\n').map(line => line.split('|').map(cell => cell.trim()))
  for (const [name, { seeds, schedules }] of Object.entries(mutations)) {
    const row = rows.find(cells => cells[1] === name)
    assert.equal(row?.[2], seeds === undefined ? 'schedules alone' : `${seeds}`, name)
    assert.equal(row[4], `${schedules.length}`, name)
  }
})
