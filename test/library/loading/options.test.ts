// Options of loading that are not allowed, each with a message that says which one it is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TidemarkError } from '../../../src/base/errors.ts'
import { resolveKeyspace } from '../../../src/library/options.ts'
import { TableSource } from '../../../src/library/table-source.ts'

const functions = { load: () => new Map() }
const table = new TableSource({ kind: 'sqlite', file: 'app.db' }, { table: 'users' })

const refused: readonly (readonly [options: object, message: RegExp])[] = [
  [{ swr: 5 }, /swr: got 5, allowed is a duration/],
  [{ staleIfError: 'soon' }, /staleIfError: got 'soon'/],
  [{ refreshAhead: -1 }, /refreshAhead: got -1, allowed is true, false, or a number from 0 to 100/],
  [{ refreshAhead: 'often' }, /refreshAhead: got 'often'/],
  [{ source: table, refreshAhead: true }, /refreshAhead: got true, allowed is false: the log/],
  [{ load: { maxBatches: 1 } }, /load\.maxBatches: .* allowed is .*maxBatch/],
  [{ load: 5 }, /load: got 5, allowed is an object/],
  [{ load: { maxBatch: 0 } }, /load\.maxBatch: got 0, allowed is a whole number from 1 to 512/],
  [{ load: { batchWindow: '1 day' } }, /load\.batchWindow: got '1 day'/],
  [{ load: { concurrency: 1.5 } }, /load\.concurrency: got 1.5/],
  [{ load: { timeout: 0 } }, /load\.timeout: got 0, allowed is a duration above 0/],
  [{ load: { softTimeout: '1s' } }, /load\.softTimeout: got '1s', allowed is nothing without staleIfError/],
  [
    { staleIfError: '1h', load: { softTimeout: '2s', timeout: '1s' } },
    /load\.softTimeout: .* less than timeout \('1s'\)/,
  ],
  [{ load: { retries: 11 } }, /load\.retries: got 11/],
  [{ load: { cacheErrors: 'yes' } }, /load\.cacheErrors: got 'yes'/],
  [{ load: { breaker: { failures: 0, halfOpenAfter: '1s' } } }, /load\.breaker\.failures: got 0/],
  [{ load: { breaker: { failures: 1 } } }, /load\.breaker\.halfOpenAfter: got 'nothing', allowed is a duration/],
  [{ load: { breaker: { failures: 1, halfOpenAfter: 0 } } }, /load\.breaker\.halfOpenAfter: got 0/],
  [{ load: { breaker: { failures: 1, halfOpenAfter: '1s', wait: 1 } } }, /load\.breaker\.wait/],
  [{ load: { fallback: {} } }, /load\.fallback: got {}, allowed is { load }/],
  [{ source: undefined, load: { retries: 1 } }, /load\.retries: got 1, allowed is nothing: there is no source/],
  [
    { source: undefined, load: { breaker: { failures: 1, halfOpenAfter: '1s' } } },
    /load\.breaker: .* there is no source/,
  ],
]

await test('a mistake in an option of loading is told of, with its path', () => {
  for (const [options, message] of refused) {
    assert.throws(
      () => resolveKeyspace('users', { source: functions, ...options }, {}),
      (error: TidemarkError) => {
        assert.equal(error.code, 'OPTION_INVALID')
        assert.match(error.message, message)
        assert.match(error.message, /^keyspace 'users': /)
        return true
      },
      JSON.stringify(options),
    )
  }
})

await test('what is set is what it comes to, and what is not set is left to the limits', () => {
  const { load, swrMs, staleIfErrorMs, refreshAhead, explicitBoundMs } = resolveKeyspace(
    'users',
    { source: functions },
    {},
  )
  assert.deepEqual([swrMs, staleIfErrorMs, refreshAhead, explicitBoundMs], [0, 0, 0, Infinity])
  assert.deepEqual(load, {
    limits: {},
    timeoutMs: undefined,
    softTimeoutMs: Infinity,
    retries: 0,
    cacheErrorsMs: 0,
    breaker: undefined,
    fallback: undefined,
  })
  const set = resolveKeyspace(
    'users',
    {
      source: functions,
      swr: '1m',
      staleIfError: '1h',
      refreshAhead: true,
      load: {
        maxBatch: 10,
        batchWindow: '5ms',
        concurrency: 2,
        timeout: '3s',
        softTimeout: '1s',
        retries: 2,
        cacheErrors: '5s',
        breaker: { failures: 5, halfOpenAfter: '30s' },
        fallback: functions,
      },
    },
    {},
  )
  assert.deepEqual([set.swrMs, set.staleIfErrorMs, set.refreshAhead], [60_000, 3_600_000, 1])
  assert.deepEqual(set.load, {
    limits: { batchMax: 10, windowMs: 5, underWayMax: 2 },
    timeoutMs: 3_000,
    softTimeoutMs: 1_000,
    retries: 2,
    cacheErrorsMs: 5_000,
    breaker: { failures: 5, halfOpenAfterMs: 30_000 },
    fallback: functions,
  })
})
