// The tide's benchmark runs from end to end in its smoke size, on real servers, and its arithmetic is right. Its figures are
// not looked at: at this size they say nothing.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { quantile, TideFigures, tideBars } from '../../bench/tide/figures.ts'
import type { TideReport, TideSample } from '../../bench/tide/sample.ts'
import { postgresInstalled } from '../support/postgres.ts'
import { redisInstalled } from '../support/redis-server.ts'

const root = resolve(import.meta.dirname, '../..')
const skip = postgresInstalled() && redisInstalled() ? false : 'PostgreSQL or redis-server is not installed'

test('the smoke size measures every bar on real servers and keeps every sample', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-tide-'))
  try {
    const json = join(folder, 'samples.json')
    const args = ['--conditions=tidemark-source', 'bench/main.ts', 'tide', '--smoke', '--seed', '42', '--json', json]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
    const report = JSON.parse(await readFile(json, 'utf8')) as TideReport
    assert.equal(report.settings.seed, 42)
    for (const sample of report.samples) {
      for (const [name, value] of Object.entries(sample.figures)) {
        assert.ok(value >= 0 && Number.isFinite(value), `${name} of ${JSON.stringify(sample)}`)
      }
    }
    assert.ok(report.bars.length > 0)
    for (const bar of report.bars) assert.notEqual(bar.reached, undefined, JSON.stringify(bar))
    assert.match(stdout, /^machine .+\ncommit .+\nversions .+postgres \d.+\nload .+seed 42/)
    assert.match(stdout, /^\d+ of \d+ bars reached$/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a stage that there is none of and a count that is no number are refused before anything is started', () => {
  for (const [args, message] of [
    [['--only', 'nosuch'], /--only nosuch: there are idle, set, miss/],
    [['--rounds', '0'], /--rounds 0: expected a whole number/],
  ] as const) {
    const command = ['--conditions=tidemark-source', 'bench/main.ts', 'tide', '--smoke', ...args]
    const result = spawnSync(process.execPath, command, { cwd: root })
    assert.equal(result.status, 1)
    assert.match(String(result.stderr), message)
  }
})

function samplesOf(stage: string, series: string, ...rounds: TideSample['figures'][]): TideSample[] {
  return rounds.map((figures, round) => ({ stage, series, round, figures }))
}

function reached(name: string, samples: readonly TideSample[]): boolean | undefined {
  const bar = tideBars(samples).find(each => each.name === name)
  assert.ok(bar !== undefined, name)
  return bar.reached
}

test('a quantile is the smallest value that so many are not above', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2)
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2)
  assert.equal(quantile([4, 1, 3, 2], 0.99), 4)
  assert.equal(quantile([4, 1, 3, 2], 0), 1)
  assert.ok(Number.isNaN(quantile([], 0.5)))
})

test('figures are medians over the rounds', () => {
  const samples = [...samplesOf('a', 'x', { f: 1 }, { f: 9 }, { f: 2 }), ...samplesOf('b', 'x', { f: 5 })]
  const figures = new TideFigures(samples)
  assert.deepEqual(figures.all('a', 'x', 'f'), [1, 9, 2])
  assert.equal(figures.of('a', 'x', 'f'), 2)
  assert.equal(figures.of('a', 'y', 'f'), undefined)
})

test('a write is held against the bare statement, less one trip where there is a tier elsewhere', () => {
  const bare = samplesOf('set', 'bare upsert', { p50Us: 100 })
  const trip = samplesOf('set', 'trip to valkey', { p50Us: 50 })
  const embedded = 'set, embedded tier, by bare upsert, p50'
  const valkey = 'set, Valkey, by bare upsert, p50'
  assert.equal(reached(embedded, [...bare, ...samplesOf('set', 'embedded', { p50Us: 130 })]), true)
  assert.equal(reached(embedded, [...bare, ...samplesOf('set', 'embedded', { p50Us: 131 })]), false)
  assert.equal(reached(valkey, [...bare, ...trip, ...samplesOf('set', 'valkey', { p50Us: 180 })]), true)
  assert.equal(reached(valkey, [...bare, ...trip, ...samplesOf('set', 'valkey', { p50Us: 181 })]), false)
  assert.equal(reached(valkey, [...bare, ...samplesOf('set', 'valkey', { p50Us: 1 })]), undefined)
})

test('a load is followed when the marks stay within a second at the rate that is wanted, or at what the database can do', () => {
  const name = 'followed, transactions of one row'
  const at = (rowsPerSecond: number, lagMaxMs: number): TideSample[] =>
    samplesOf('follow', 'single rows', { rowsPerSecond, lagMaxMs })
  assert.equal(reached(name, at(10_000, 999)), true)
  assert.equal(reached(name, at(10_000, 1_000)), false)
  assert.equal(reached(name, at(9_999, 10)), false)
  const most = samplesOf('follow', 'single rows, unpaced, no tide', { rowsPerSecond: 2_000 })
  assert.equal(reached(name, [...at(1_800, 10), ...most]), true)
  assert.equal(reached(name, [...at(1_799, 10), ...most]), false)
})

test('shares of hits, of throughput and of a core are compared with their bars', () => {
  const hits = (hitShare: number): TideSample[] => samplesOf('set-get', 'quiet', { hitShare, writesPerSecond: 1 })
  assert.equal(reached('get after set is a tier hit, quiet', hits(0.95)), true)
  assert.equal(reached('get after set is a tier hit, quiet', hits(0.94)), false)
  const near = (requestsPerSecond: number): TideSample[] => [
    ...samplesOf('near', 'proved', { requestsPerSecond, cpuUs: 1 }),
    ...samplesOf('near', 'plain', { requestsPerSecond: 100, cpuUs: 1 }),
  ]
  assert.equal(reached('near hit with proof by plain key', near(90)), true)
  assert.equal(reached('near hit with proof by plain key', near(89)), false)
  assert.equal(reached('idle server with 64 lanes', samplesOf('idle', 'server', { coreShare: 0.05 })), true)
  assert.equal(reached('idle server with 64 lanes', samplesOf('idle', 'server', { coreShare: 0.06 })), false)
})

test('a commit is counted from when it was sent, which is more than the truth', () => {
  const name = 'a commit by SQL leaves the last near cache, p99'
  const since = (sent: number): TideSample[] => [
    ...samplesOf('drop', 'all, since sent', { p99Ms: sent }),
    ...samplesOf('drop', 'all, since answered', { p99Ms: 1 }),
  ]
  assert.equal(reached(name, since(5)), true)
  assert.equal(reached(name, since(5.1)), false)
  assert.equal(reached(name, []), undefined)
})
