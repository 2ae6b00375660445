// The log of changes: who is told of what, across threads, when it wraps around and when a reader falls behind.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChangeLog } from '../../src/store/change-log.ts'

function told(log: ChangeLog): string[] {
  const all: string[] = []
  log.read({
    key: (key, client) => void all.push(`${key.toString()} by ${client}`),
    all: () => void all.push('all'),
    rows: () => void all.push('rows'),
  })
  return all
}

function change(log: ChangeLog, key: string, hash: number): void {
  const bytes = Buffer.from(`..${key}`)
  log.changed(hash, bytes, 2, bytes.length)
}

test('only what somebody tracks is written down', () => {
  const writer = new ChangeLog(1)
  const reader = new ChangeLog(2, writer.shared)
  change(writer, 'before', 5 << 12)
  assert.equal(writer.active, false)
  reader.countClient(1, false)
  change(writer, 'untracked', 6 << 12)
  reader.countKey(5 << 12, 1)
  writer.client = 77
  change(writer, 'tracked', 5 << 12)
  writer.client = 0
  writer.rowsChanged()
  writer.allChanged()
  assert.deepEqual(told(reader), ['tracked by 77', 'rows', 'all'])
  assert.equal(reader.hasMore, false)
  reader.countKey(5 << 12, -1)
  change(writer, 'no more', 5 << 12)
  assert.deepEqual(told(reader), [])
  reader.countClient(1, true)
  change(writer, 'broadcast', 9 << 12)
  assert.deepEqual(told(reader), ['broadcast by 0'])
})

test('the ring goes round; who falls behind by all of it is told that everything has changed', () => {
  const writer = new ChangeLog(1)
  const reader = new ChangeLog(2, writer.shared)
  reader.countClient(1, true)
  const key = 'k'.repeat(1001)
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < 50; i++) change(writer, `${round}.${i}.${key}`, i)
    assert.deepEqual(
      told(reader),
      Array.from({ length: 50 }, (_, i) => `${round}.${i}.${key} by 0`),
    )
  }
  for (let i = 0; i < 1100; i++) change(writer, key, i)
  assert.deepEqual(told(reader), ['all'])
  change(writer, 'again', 1)
  assert.deepEqual(told(reader), ['again by 0'])
})

test('a thread that died tracks nothing, and its lock is free', () => {
  const writer = new ChangeLog(1)
  const dead = new ChangeLog(2, writer.shared)
  dead.countClient(1, true)
  dead.countClient(1, false)
  new Int32Array(writer.shared)[2] = 3
  writer.recover(2)
  assert.equal(writer.active, false)
  dead.countClient(1, true)
  change(writer, 'x', 1)
  assert.deepEqual(told(dead), ['x by 0'])
})
