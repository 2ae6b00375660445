// The server benchmark runs from end to end in its smoke size, and its arithmetic is right. Its figures are not looked at:
// at this size they say nothing.
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { median, table } from '../../bench/table.ts'
import type { ServerReport } from '../../bench/server.ts'

const root = resolve(import.meta.dirname, '../..')
const missing = ['redis-server', 'redis-benchmark'].filter(name => spawnSync(name, ['--version']).error !== undefined)
const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false

test('the smoke size measures both servers with both commands and keeps every sample', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-test-'))
  try {
    const json = join(folder, 'samples.json')
    const args = [
      '--conditions=tidemark-source',
      'bench/main.ts',
      'server',
      '--smoke',
      '--pipeline',
      '1,16',
      '--json',
      json,
    ]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
    const report = JSON.parse(await readFile(json, 'utf8')) as ServerReport
    const kinds = report.samples.map(
      ({ server, command, pipeline, round }) => `${server} ${command} ${pipeline} ${round}`,
    )
    assert.equal(new Set(kinds).size, 2 * 2 * 2 * 2)
    for (const sample of report.samples) {
      assert.ok(sample.requestsPerSecond > 0 && Number.isFinite(sample.requestsPerSecond), JSON.stringify(sample))
      assert.ok(sample.cpuMicrosecondsPerRequest >= 0, JSON.stringify(sample))
      assert.ok(sample.p99Ms >= sample.p50Ms, JSON.stringify(sample))
    }
    assert.match(report.versions['redis'] ?? '', /^\d+\.\d+/)
    assert.match(stdout, /^machine .+\ncommit .+\nversions .+redis \d/)
    assert.match(stdout, /tidemark holds 100 keys at the end\nredis holds 100 keys at the end/)
    assert.match(stdout, /^GET +16 +50 +64 +100 +redis +[\d,]+ +\d+\.\d\d/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('an unknown peer and a size that is no number are refused', () => {
  for (const [args, message] of [
    [['--peers', 'nosuch'], /--peers nosuch: there are redis/],
    [['--pipeline', '0'], /--pipeline 0: expected whole numbers/],
  ] as const) {
    const result = spawnSync(process.execPath, ['bench/main.ts', 'server', '--smoke', ...args], { cwd: root })
    assert.equal(result.status, 1)
    assert.match(String(result.stderr), message)
  }
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
