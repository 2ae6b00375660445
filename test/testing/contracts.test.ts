// The contract suites for what users write themselves: what keeps them passes, and each rule has something that breaks it and is
// caught by it. They are run in a process of their own, since they register tests that fail.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { brokenCodecs, soundCodecs } from './broken/codecs.ts'
import { brokenFunctions } from './broken/functions.ts'
import { brokenSources } from './broken/sources.ts'
import { brokenTiers } from './broken/tiers.ts'

const DEADLINE_MS = 100_000

/** By suite: its tests, and whether each passed. */
type Results = ReadonlyMap<string, ReadonlyMap<string, boolean>>

function runSuites(): Results {
  // A test that runs inside a test would report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const file = join(import.meta.dirname, 'broken/main.ts')
  const args = ['--conditions=tidemark-source', '--test', '--test-reporter=tap', file]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: DEADLINE_MS })
  assert.equal(status, 1, `some fail, and none hangs: ${stderr}`)
  const results = new Map<string, Map<string, boolean>>()
  // A suite's line comes after those of its tests, which stand further to the right.
  let [tests, group] = [new Map<string, boolean>(), new Map<string, boolean>()]
  for (const match of stdout.matchAll(/^( *)(ok|not ok) \d+ - (.*?)(?: # .*)?$/gm)) {
    const [, indent, ok, name] = match as unknown as [string, string, string, string]
    if (indent.length === 8) group.set(name, ok === 'ok')
    else if (indent.length === 4) {
      if (group.size === 0) tests.set(name, ok === 'ok')
      for (const [each, passed] of group) tests.set(each, passed)
      group = new Map()
    } else {
      const [suite, rule] = name.split(': ') as [string, string | undefined]
      if (rule === undefined) results.set(suite, tests)
      else results.set(suite, (results.get(suite) ?? new Map<string, boolean>()).set(rule, ok === 'ok'))
      tests = new Map()
    }
  }
  return results
}

void describe('contract suites', () => {
  let results: Results
  before(() => {
    results = runSuites()
  })

  const failed = (suite: string): string[] => {
    const tests = results.get(suite)
    assert.ok(tests !== undefined && tests.size > 0, `${suite} has tests`)
    return [...tests].filter(([, passed]) => !passed).map(([rule]) => rule)
  }
  const rulesOf = (suite: string): string[] => [...results.get(suite)!.keys()]

  void test('pass what keeps them', () => {
    const sound = ['sound functions', 'sound functions that load alone, and look at no signal', 'a sound tier']
    for (const suite of [...sound, ...Object.keys(soundCodecs)]) assert.deepEqual(failed(suite), [], suite)
  })

  void test('catch what breaks them, by the rule that is broken', () => {
    const breaks = [
      ...Object.entries({ ...brokenFunctions, ...brokenTiers, ...brokenSources }).map(([name, [rule]]) => [name, rule]),
      ...Object.entries(brokenCodecs).map(([name, { breaks: rule }]) => [name, rule]),
    ] as [string, string][]
    for (const [suite, rule] of breaks) assert.ok(failed(suite).includes(rule), `${suite}: ${failed(suite).join('; ')}`)
    assert.ok(breaks.length > 30)
  })

  void test('have no rule for functions and codecs that nothing breaks', () => {
    const broken = new Set(Object.values(brokenFunctions).map(([rule]) => rule))
    for (const { breaks } of Object.values(brokenCodecs)) broken.add(breaks)
    for (const rule of [...rulesOf('sound functions'), ...rulesOf('the JSON codec')]) {
      assert.ok(broken.has(rule), `nothing breaks: ${rule}`)
    }
  })

  void test('leave out what functions cannot do only where that is said', () => {
    const unsaid = failed('functions that load alone, and do not say so')
    assert.ok(unsaid.includes('what was removed can be there again'), unsaid.join('; '))
    assert.ok(unsaid.includes('storing leaves all else as it is'), unsaid.join('; '))
    const said = rulesOf('sound functions that load alone, and look at no signal')
    assert.ok(said.length === 5 && rulesOf('sound functions').length === 16, said.join('; '))
  })
})
