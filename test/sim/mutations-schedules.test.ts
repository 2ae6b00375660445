// That the named schedules have teeth: those that were written for a guard fail once it is taken out.
// Not for: the seeds that find it (mutations.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mutations } from './mutations.ts'
import { simulate } from './simulate.ts'

const AT_A_TIME = 2

void test('with a guard taken out', { concurrency: AT_A_TIME }, async suite => {
  const all: Promise<void>[] = []
  for (const [name, { schedules }] of Object.entries(mutations)) {
    if (schedules.length === 0) continue
    all.push(
      suite.test(`'${name}' fails ${schedules.length} named schedules`, async () => {
        const patterns = schedules.map(schedule => `--test-name-pattern=^${schedule.replace(/[^\w ]/g, '.')}$`)
        const { output } = await simulate(['--play', '--mutate', name], ['--test-reporter=tap', ...patterns])
        for (const counts of [`# tests ${schedules.length}`, `# fail ${schedules.length}`]) {
          assert.ok(output.split('\n').includes(counts), output.slice(-4_000))
        }
      }),
    )
  }
  await Promise.all(all)
})
