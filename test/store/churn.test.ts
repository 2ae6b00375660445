// Churn: what a busy cache goes through in an hour, in seconds. The store keeps to its bytes and its invariants, and the process
// that serves it to its budget, 15% more, and what Node takes. `npm run bench -- churn` does the same for tens of millions
// of operations.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ChurnOperations, CHURN_BYTES_MAX } from '../../bench/churn-operations.ts'
import { churn, churnKeys } from '../../bench/churn.ts'
import { seededRandom } from '../../src/base/random.ts'
import { KeyedStore, MiB } from './keyed-store.ts'
import { Store } from '../../src/store/store.ts'

const value = Buffer.alloc(CHURN_BYTES_MAX, 'churn')
/** The hour has so many operations, and takes so long on the store's clock. */
const HOUR_MS = 3_600_000
const CHECKS = 20

interface Lived {
  readonly store: Store
  readonly stored: number
  readonly bytesWritten: number
  readonly largest: number
}

/** `operations` on one store, spread over an hour; checked again and again on the way. */
function live(memoryBytes: number, operations: number, largeOneOf: number): Lived {
  const keyed = new KeyedStore(Store.create({ memoryBytes, threads: 2, seed: 3 }))
  const { store } = keyed
  const churned = new ChurnOperations(seededRandom(memoryBytes), {
    seed: 1,
    keys: churnKeys(memoryBytes, largeOneOf),
    largeOneOf,
  })
  let stored = 0
  let bytesWritten = 0
  let largest = 0
  for (let i = 0; i < operations; i++) {
    churned.next()
    const { kind, valueBytes, ttlMs } = churned
    const key = `churn:${churned.key}`
    keyed.wallMs += HOUR_MS / operations
    if (kind === 'get') keyed.has(key)
    else if (kind === 'del') keyed.remove(key)
    else if (kind === 'expire') keyed.setExpiry(key, keyed.wallMs + ttlMs)
    else {
      const expiresAtMs = kind === 'setex' ? keyed.wallMs + ttlMs : 0
      assert.equal(keyed.set(key, value.subarray(0, valueBytes), { expiresAtMs }), 'stored')
      assert.ok(keyed.hasUnread(key), 'what was just stored is there')
      stored++
      bytesWritten += valueBytes
      largest = Math.max(largest, valueBytes)
    }
    if (i % 100 === 0) store.sweep(keyed.wallMs, 16)
    if (i % Math.ceil(operations / CHECKS) === 0) store.check()
    const { usedBytes } = store.statistics()
    assert.ok(usedBytes <= memoryBytes, `${usedBytes} bytes of ${memoryBytes} after ${i} operations`)
  }
  store.check()
  return { store, stored, bytesWritten, largest }
}

describe('the store', () => {
  for (const [megabytes, operations, largeOneOf] of [
    [16, 60_000, 10],
    [64, 20_000, 1],
    [16, 150_000, 100],
  ] as const) {
    const name = `${megabytes} MB, one of ${largeOneOf} values up to 1 MiB`
    test(`${name}: an hour stays within its bytes, and every invariant holds`, t => {
      const { store, bytesWritten, largest, stored } = live(megabytes * MiB, operations, largeOneOf)
      const { evicted, expired, records, liveBytes } = store.statistics()
      t.diagnostic(JSON.stringify({ stored, bytesWritten, largest, evicted, expired, records, liveBytes }))
      assert.ok(bytesWritten > 2 * store.shared.memory.byteLength, 'memory was turned over')
      assert.ok(largest > 900_000 && evicted > 500 && expired > 500)
      assert.ok(liveBytes > store.shared.memory.byteLength / 4, 'memory is used')
    })
  }
})

describe("the server's process", { skip: process.platform !== 'linux' && 'there is no /proc' }, () => {
  for (const [memoryMb, threads] of [
    [16, 1],
    [64, 2],
  ] as const) {
    test(`${memoryMb} MB, threads: ${threads}: resident memory never passed the budget, 15% and what Node takes`, async t => {
      const settings = { memoryMb, threads, operations: 60_000, largeOneOf: 10, connections: 12, seed: 1 }
      const report = await churn(settings, () => {})
      t.diagnostic(JSON.stringify({ ...report, residentBytes: report.residentBytes.length }))
      assert.equal(report.errors, 0, report.firstError)
      assert.ok(report.bytesWritten > 4 * memoryMb * MiB, 'memory was turned over')
      assert.ok(report.residentBytesMost > memoryMb * MiB, 'memory was filled')
      assert.ok(
        report.residentBytesMost <= report.residentBytesAllowed,
        `${report.residentBytesMost} bytes, allowed are ${report.residentBytesAllowed}`,
      )
    })
  }
})
