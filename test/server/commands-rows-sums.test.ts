// The commands on row keys that ask and change in one: sums of columns, columns and rows that must not be there yet; and
// what is known of a row beside its value.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { CommandRunner } from '../support/call.ts'
import { ANN, BOB, RowScene } from './row-scene.ts'

describe('row keys', () => {
  test('MSETNX of rows writes all in one transaction, or none when one of them is there', async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('MSETNX users:4 {"name":"Di"} users:2 {"name":"Al"} users:5 {}'), 0)
    assert.deepEqual([rows.stored(4), rows.stored(2), rows.stored(5)], [null, BOB, null])
    assert.equal(await rows.run('MSETNX users:4 {"name":"Di"} users:5 {} users:4 {"name":"Ed"}'), 1)
    assert.deepEqual([rows.stored(4), rows.stored(5)], ['{"id":4,"name":"Ed","city":null}', '{"id":5,"name":null,"city":null}']) // prettier-ignore
    assert.equal(rows.transactions, 2)
    assert.match(String(await rows.run('MSETNX users:6 {} a 1')), /^-ROW_OPERATION MSETNX .*one command for each/)
    assert.match(String(await rows.run('MSETNX a 1 users:6 {}')), /^-ROW_OPERATION /)
    assert.deepEqual([rows.stored(6), await rows.run('GET a')], [null, null])
  })

  test('HINCRBY and HSETNX of many sessions at once lose nothing, whatever another program writes', async () => {
    await using rows = await RowScene.open()
    await rows.run('HSET users:2 city 100')
    // Memory says 100 still; the database knows better.
    rows.scene.other.exec("UPDATE users SET city = '1000' WHERE id = 2")
    const runners = Array.from({ length: 20 }, () => new CommandRunner(rows.scene.store, rows.scene.cache))
    const sums = await Promise.all(runners.map(runner => runner.line('HINCRBY users:2 city 1')))
    assert.deepEqual(
      sums.map(Number).sort((a, b) => a - b),
      Array.from(sums, (_, i) => 1001 + i),
    )
    assert.equal(await rows.run('HGET users:2 city'), '1020')
    const set = await Promise.all(runners.map((runner, i) => runner.line(`HSETNX users:7 city c${i}`)))
    assert.equal(set.filter(reply => reply === 1).length, 1)
  })

  test('a sum that the column does not take is refused, and nothing changes', async () => {
    await using rows = await RowScene.open()
    for (const [line, error] of [
      ['HINCRBY users:1 name 1', /^-ROW_INVALID .*"Ann" is not an integer/],
      ['HINCRBYFLOAT users:1 name 1', /^-ROW_INVALID .*"Ann" is not a number/],
      ['HINCRBY users:1 id 1', /^-ROW_KEY_COLUMN /],
      ['HINCRBY users:1 age 1', /^-ROW_INVALID .*no column "age"/],
      ['HSETNX users:1 age 1', /^-ROW_INVALID /],
      ['HINCRBY users:1 name x', /^-ERR value is not an integer or out of range$/],
      ['HINCRBYFLOAT users:1 name inf', /^-ERR value is NaN or Infinity$/],
    ] as const) {
      assert.match(String(await rows.run(line)), error, line)
    }
    assert.equal(rows.stored(1), ANN)
  })

  test('DUMP of a row is the hash of its columns, which restores under a plain key', async () => {
    await using rows = await RowScene.open()
    const raw = await rows.runner.raw('DUMP', 'users:1')
    const dump = raw.subarray(raw.indexOf('\n') + 1, raw.length - 2)
    assert.equal(await rows.runner.run('RESTORE', 'copy', '0', dump), 'OK')
    assert.deepEqual(await rows.run('HGETALL copy'), ['id', '1', 'name', 'Ann', 'city', 'Ely'])
    assert.equal(await rows.run('DUMP users:9'), null)
    assert.match(String(await rows.runner.run('RESTORE', 'users:5', '0', dump)), /^-ROW_OPERATION /)
  })

  test('OBJECT FREQ counts reads, and MEMORY USAGE counts what is in memory', async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('MEMORY USAGE users:1'), null)
    assert.equal(await rows.run('OBJECT FREQ users:1'), 0)
    for (const reads of [1, 2, 3, 3]) {
      await rows.run('GET users:1')
      assert.ok(Number(await rows.run('OBJECT FREQ users:1')) >= reads)
    }
    assert.ok(Number(await rows.run('MEMORY USAGE users:1')) > ANN.length)
    assert.match(String(await rows.run('OBJECT IDLETIME users:1')), /^-ERR An LFU maxmemory policy is selected/)
    assert.equal(await rows.run('MEMORY USAGE users:9'), null)
  })
})
