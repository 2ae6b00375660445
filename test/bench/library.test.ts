// The library's benchmark runs from end to end in its smoke size, and its arithmetic is right. Its figures are not looked at:
// at this size they say nothing.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { LibraryReport } from '../../bench/library.ts'
import { libraryBars } from '../../bench/library/bars.ts'
import { byZipf, evenly } from '../../bench/library/keys.ts'
import type { TideSample } from '../../bench/tide/sample.ts'
import { seededRandom } from '../../src/base/random.ts'

const root = resolve(import.meta.dirname, '../..')
const skip = existsSync(resolve(root, 'bench/node_modules/lru-cache'))
  ? false
  : "the peers are not installed: run 'npm --prefix bench ci'"

test('the smoke size measures every bar and keeps every sample', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-library-'))
  try {
    const json = join(folder, 'samples.json')
    const args = ['--conditions=tidemark-source', 'bench/main.ts', 'library', '--smoke', '--seed', '42', '--json', json]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
    const report = JSON.parse(await readFile(json, 'utf8')) as LibraryReport
    assert.equal(report.settings.seed, 42)
    for (const sample of report.samples) {
      for (const [name, value] of Object.entries(sample.figures)) {
        assert.ok(value > 0 && Number.isFinite(value), `${name} of ${JSON.stringify(sample)}`)
      }
    }
    assert.ok(report.bars.length > 0)
    for (const bar of report.bars) assert.notEqual(bar.reached, undefined, JSON.stringify(bar))
    assert.match(stdout, /^machine .+\ncommit .+\nversions .+lru-cache \d.+\nload .+seed 42/)
    assert.match(stdout, /^\d+ of \d+ bars reached$/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a stage that there is none of and a count that is no number are refused', () => {
  for (const [args, message] of [
    [['--only', 'nosuch'], /--only nosuch: there are hit, fill/],
    [['--rounds', '0'], /--rounds 0: expected a whole number/],
  ] as const) {
    const command = ['--conditions=tidemark-source', 'bench/main.ts', 'library', '--smoke', ...args]
    const result = spawnSync(process.execPath, command, { cwd: root })
    assert.equal(result.status, 1)
    assert.match(String(result.stderr), message)
  }
})

function sample(stage: string, series: string, ...rounds: TideSample['figures'][]): TideSample[] {
  return rounds.map((figures, round) => ({ stage, series, round, figures }))
}

test('bars are ratios of medians, more or less than wanted', () => {
  const theirs = sample('hit', 'lru-cache', { cpuNs: 100 }, { cpuNs: 900 }, { cpuNs: 110 })
  const reached = (cpuNs: number): boolean | undefined =>
    libraryBars([...theirs, ...sample('hit', 'tidemark', { cpuNs })]).find(({ name }) => name.startsWith('peek hit: '))
      ?.reached
  assert.equal(reached(110), true)
  assert.equal(reached(111), false)
  assert.equal(libraryBars(theirs)[0]?.reached, undefined)
  const heap = (filledBytes: number): boolean | undefined =>
    libraryBars([
      ...sample('heap', 'lru-cache', { filledBytes: 100 }),
      ...sample('heap', 'tidemark', { filledBytes }),
    ])[0]?.reached
  assert.equal(heap(130), true)
  assert.equal(heap(131), false)
  const queries = (loads: number): boolean | undefined =>
    libraryBars(sample('misses', 'as many keys', { loads })).find(({ reached }) => reached !== undefined)?.reached
  assert.equal(queries(10), true)
  assert.equal(queries(11), false)
})

test('keys are drawn evenly, or the k-th likeliest as often as 1 / k', () => {
  const even = countsOf(evenly(100_000, 10, seededRandom(1)), 10)
  assert.ok(Math.min(...even) > 9_500 && Math.max(...even) < 10_500, String(even))
  const zipf = countsOf(byZipf(100_000, 10, 1, seededRandom(1)), 10).toSorted((a, b) => b - a)
  const harmonic = zipf.reduce((sum, _, i) => sum + 1 / (i + 1), 0)
  for (const [i, count] of zipf.entries()) {
    const expected = 100_000 / (i + 1) / harmonic
    assert.ok(Math.abs(count - expected) < 0.05 * expected, `rank ${i + 1}: ${count}, not ${expected}`)
  }
})

function countsOf(drawn: Uint32Array, below: number): number[] {
  const counts = new Array<number>(below).fill(0)
  for (const id of drawn) counts[id]!++
  return counts
}
