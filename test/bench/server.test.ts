// The server benchmark runs from end to end in its smoke size, and its arithmetic is right. Its figures are not looked at:
// at this size they say nothing.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { barsOf } from '../../bench/bars.ts'
import { fewKeysName, smokeStages, stages } from '../../bench/scenarios.ts'
import { median, table } from '../../bench/table.ts'
import type { Bar, Sample, ServerReport } from '../../bench/samples.ts'
import type { CompareScenario } from '../../bench/scenarios.ts'

const root = resolve(import.meta.dirname, '../..')
const missing = ['redis-server', 'redis-benchmark'].filter(name => spawnSync(name, ['--version']).error !== undefined)
const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false

test('the smoke size measures every kind of scenario on every server and keeps every sample', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-test-'))
  try {
    const json = join(folder, 'samples.json')
    const args = ['--conditions=tidemark-source', 'bench/main.ts', 'server', '--smoke', '--rounds', '1', '--seed', '42']
    const { stdout } = await promisify(execFile)(process.execPath, [...args, '--json', json], { cwd: root })
    const report = JSON.parse(await readFile(json, 'utf8')) as ServerReport
    const memcached = report.versions['memcached'] !== undefined
    assert.deepEqual(report.left, memcached ? [] : ['memcached is not installed'])
    for (const stage of smokeStages()) {
      for (const scenario of stage.scenarios) {
        for (const server of ['tidemark', ...stage.peers.filter(name => name !== 'memcached' || memcached)]) {
          const own = report.samples.filter(each => each.scenario === scenario.name && each.server === server)
          const commands = scenario.kind === 'compare' ? scenario.commands.length : scenario.kind === 'eviction' ? 4 : 1
          assert.equal(own.length, commands, `${scenario.name} ${server}`)
        }
      }
    }
    for (const sample of report.samples) checkSample(sample)
    assert.equal(report.settings.seed, 42)
    assert.ok(report.bars.length > 0)
    for (const bar of report.bars) {
      const text = `${JSON.stringify(bar)} of samples: ${JSON.stringify(report.samples)}`
      const late = /^not measurable: requests were sent .* late/.test(bar.figure)
      assert.ok(bar.reached !== undefined || late || dividesByNothing(bar, report.samples), text)
    }
    assert.match(stdout, /^machine .+\ncommit .+\nversions .+redis \d.+\nload .+seed 42/)
    assert.match(stdout, /^pipeline-64 +GET +64 +50 +64 +200 +redis +[\d,]+ +\d+\.\d\d/m)
    assert.match(stdout, /^\d+ of \d+ bars reached$/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/**
 * The kernel counts processor time in hundredths of a second, so that at the smoke size a server may have taken none. Whether
 * the bar divides by such a sample.
 */
function dividesByNothing({ name }: Bar, samples: readonly Sample[]): boolean {
  const [, of, kind] = /^(.*): (.*)$/.exec(name)!
  const divisor =
    kind === 'half SET, evicting, against SET'
      ? `${of} mix, evicting`
      : kind === 'CPU of redis by ours' || kind === 'against 100k keys'
        ? of
        : undefined
  return samples.some(
    ({ scenario, command, server, cpuMicroseconds }) =>
      server === 'tidemark' && `${scenario} ${command}` === divisor && cpuMicroseconds === 0,
  )
}

function checkSample(sample: Sample): void {
  const text = JSON.stringify(sample)
  assert.ok(sample.requests > 0, text)
  assert.ok(sample.requestsPerSecond === undefined || sample.requestsPerSecond > 0, text)
  assert.ok(sample.cpuMicroseconds === undefined || sample.cpuMicroseconds >= 0, text)
  assert.ok((sample.p50Ms ?? 0) <= (sample.p99Ms ?? 0) && (sample.p99Ms ?? 0) <= (sample.maxMs ?? 0), text)
  assert.ok(sample.bytesPerEntry === undefined || sample.bytesPerEntry > 64, text)
  assert.ok(sample.garbageBytes === undefined || Number.isFinite(sample.garbageBytes), text)
}

test('the names of scenarios are unique, and of each kind the smoke size has one', () => {
  const all = stages.flatMap(({ scenarios }) => scenarios)
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length)
  const kinds = (of: typeof all): string[] => [...new Set(of.map(({ kind }) => kind))].toSorted()
  assert.deepEqual(kinds(smokeStages().flatMap(({ scenarios }) => scenarios)), kinds(all))
})

test('a name that is no scenario and a count that is no number are refused', () => {
  for (const [args, message] of [
    [['--only', 'nosuch'], /--only nosuch: there are one thread, pipeline-1/],
    [['--rounds', '0'], /--rounds 0: expected a whole number/],
  ] as const) {
    const result = spawnSync(process.execPath, ['bench/main.ts', 'server', '--smoke', ...args], { cwd: root })
    assert.equal(result.status, 1)
    assert.match(String(result.stderr), message)
  }
})

test("a bar compares medians of processor time, redis' by ours, and says when it was not measured", () => {
  const sample = (server: string, cpuMicroseconds: number): Sample => ({
    scenario: 'a',
    command: 'get',
    round: 0,
    requests: 1,
    server,
    cpuMicroseconds,
  })
  const scenario: CompareScenario = {
    kind: 'compare',
    name: 'a',
    commands: ['get', 'set'],
    bar: 1.4,
    pipeline: 1,
    clients: 1,
    valueBytes: 1,
    keys: 1,
  }
  const ours = [sample('tidemark', 1), sample('tidemark', 2), sample('tidemark', 9)]
  const reached = (theirs: number): (boolean | undefined)[] =>
    barsOf([scenario], [...ours, sample('redis', theirs)]).map(bar => bar.reached)
  assert.deepEqual(reached(2.8), [true, undefined])
  assert.deepEqual(reached(2.7), [false, undefined])

  // GET of many keys against GET of few.
  const many = { ...scenario, name: 'keys-10m', commands: [] }
  const share = (ofMany: number): (boolean | undefined)[] =>
    barsOf(
      [many],
      [
        { ...sample('tidemark', 6), scenario: fewKeysName },
        { ...sample('tidemark', ofMany), scenario: many.name },
      ],
    ).map(bar => bar.reached)
  assert.deepEqual([share(10), share(10.1), share(0)], [[true], [false], [undefined]])

  // No time at all of ours: nothing to divide by, which is the one reason of a smoke run not to have measured a bar.
  const none = [sample('tidemark', 0), sample('redis', 1)]
  const [get, set] = barsOf([scenario], none)
  assert.deepEqual([get!.reached, set!.reached], [undefined, undefined])
  assert.deepEqual([dividesByNothing(get!, none), dividesByNothing(set!, none)], [true, false])
  assert.equal(dividesByNothing(get!, [sample('tidemark', 1), sample('redis', 0)]), false)
  assert.equal(dividesByNothing({ ...get!, name: 'a: bytes per operation' }, none), false)
})

test('latencies count only where the requests were sent in time', () => {
  const scenario = stages.flatMap(({ scenarios }) => scenarios).find(each => each.kind === 'latency')!
  const sample = (server: string, p99Ms: number, sentLateP99Ms: number): Sample => ({
    scenario: scenario.name,
    command: 'get',
    round: 0,
    requests: 1,
    server,
    p99Ms,
    sentLateP99Ms,
  })
  const reached = (ours: Sample, theirs: Sample): (boolean | undefined)[] =>
    barsOf([scenario], [ours, theirs]).map(bar => bar.reached)
  assert.deepEqual(reached(sample('tidemark', 0.9, 0.5), sample('redis', 0.8, 0.1)), [true, false])
  assert.deepEqual(reached(sample('tidemark', 1.1, 0.1), sample('redis', 1.2, 0.5)), [false, true])
  assert.deepEqual(reached(sample('tidemark', 0.9, 0.6), sample('redis', 0.9, 0.1)), [undefined, undefined])
  assert.deepEqual(reached(sample('tidemark', 0.9, 0.1), sample('redis', 0.9, 0.6)), [undefined, undefined])
})

test('a median is the middle value or the mean of the two in the middle', () => {
  assert.equal(median([3]), 3)
  assert.equal(median([10, 1, 2]), 2)
  assert.equal(median([4, 1, 3, 2]), 2.5)
})

test('a table lines its columns up, numbers to the right', () => {
  assert.deepEqual(
    table([
      ['a', 'bb'],
      ['ccc', '1'],
      ['d', '1,000'],
    ]),
    ['a       bb', 'ccc      1', 'd    1,000'],
  )
})
