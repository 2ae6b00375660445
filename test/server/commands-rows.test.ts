// The commands on row keys, over a cache that stands in for the real one (test/support/fake-cache.ts): which operations
// they ask of it, what they reply, what they refuse, and that memory answers when it may.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { CommandRunner, keyCommands } from '../support/call.ts'
import { FakeCache } from '../support/fake-cache.ts'

interface Scene {
  readonly cache: FakeCache
  readonly runner: CommandRunner
  run(line: string): Promise<unknown>
}

/** Two rows: users:1 Ann in Ely, users:2 Bob in no city. */
function scene(): Scene {
  const store = Store.create({ memoryBytes: 4_194_304, seed: 7 })
  const cache = new FakeCache(store)
  cache.rows.set('users:1', { id: 1n, name: 'Ann', city: 'Ely' })
  cache.rows.set('users:2', { id: 2n, name: 'Bob', city: null })
  const runner = new CommandRunner(store, cache.asCache())
  return { cache, runner, run: line => runner.line(line) }
}

const ANN = '{"id":1,"name":"Ann","city":"Ely"}'
const BOB = '{"id":2,"name":"Bob","city":null}'

describe('reading row keys', () => {
  test('GET loads a row once, as JSON, and then answers from memory', async () => {
    const { cache, runner, run } = scene()
    assert.equal(await run('GET users:1'), ANN)
    assert.equal(runner.atOnce, false)
    assert.equal(await run('GET users:1'), ANN)
    assert.equal(runner.atOnce, true)
    assert.deepEqual(cache.loads, [['users:1']])
    assert.deepEqual([cache.hits[0], cache.misses[0]], [1, 1])
  })

  test('a missing row is nil, and remembered as missing', async () => {
    const { cache, runner, run } = scene()
    assert.equal(await run('GET users:9'), null)
    assert.equal(await run('GET users:9'), null)
    assert.equal(runner.atOnce, true)
    assert.equal(cache.loads.length, 1)
    for (const [line, reply] of [
      ['EXISTS users:9', 0],
      ['TYPE users:9', 'none'],
      ['STRLEN users:9', 0],
      ['TTL users:9', -2],
      ['PEXPIRETIME users:9', -2],
      ['HGET users:9 name', null],
      ['HGETALL users:9', []],
      ['HLEN users:9', 0],
      ['MGET users:9', [null]],
    ] as const) {
      assert.deepEqual(await run(line), reply, line)
      assert.equal(runner.atOnce, true, line)
    }
    assert.equal(cache.loads.length, 1)
  })

  const reads = [
    ['EXISTS users:1 users:9 users:2 users:1', 3],
    ['TOUCH users:1 users:9', 1],
    ['TYPE users:1', 'hash'],
    ['STRLEN users:1', ANN.length],
    ['TTL users:1', -1],
    ['PTTL users:1', -1],
    ['EXPIRETIME users:1', -1],
    ['PEXPIRETIME users:1', -1],
    ['HGET users:1 name', 'Ann'],
    ['HGET users:1 id', '1'],
    ['HGET users:2 city', null],
    ['HGET users:1 nothing', null],
    ['HMGET users:1 city nothing id', ['Ely', null, '1']],
    ['HGETALL users:1', ['id', '1', 'name', 'Ann', 'city', 'Ely']],
    ['HGETALL users:2', ['id', '2', 'name', 'Bob']],
    ['HKEYS users:2', ['id', 'name']],
    ['HVALS users:2', ['2', 'Bob']],
    ['HLEN users:1', 3],
    ['HLEN users:2', 2],
    ['HEXISTS users:1 city', 1],
    ['HEXISTS users:2 city', 0],
    ['MGET users:1 users:2 users:9', [ANN, BOB, null]],
    ['GETEX users:1', ANN],
    ['GETEX users:1 PERSIST', ANN],
  ] as const

  for (const [line, reply] of reads) {
    test(`${line} answers the same from the database and from memory`, async () => {
      const { cache, runner, run } = scene()
      assert.deepEqual(await run(line), reply)
      assert.equal(runner.atOnce, false)
      assert.equal(cache.loads.length, 1, 'all keys in one question')
      assert.deepEqual(await run(line), reply)
      assert.equal(runner.atOnce, true)
      assert.equal(cache.loads.length, 1)
    })
  }

  test('a row that may not be answered from memory is asked for', async () => {
    const { cache, runner, run } = scene()
    await run('GET users:1')
    cache.rows.set('users:1', { id: 1n, name: 'Eve', city: null })
    cache.servable = false
    const now = '{"id":1,"name":"Eve","city":null}'
    for (const [line, reply] of [
      ['GET users:1', now],
      ['MGET users:1', [now]],
      ['HGET users:1 name', 'Eve'],
      ['HLEN users:1', 2],
      ['STRLEN users:1', now.length],
      ['EXISTS users:1', 1],
    ] as const) {
      assert.deepEqual(await run(line), reply, line)
      assert.equal(runner.atOnce, false, line)
    }
  })

  test("a lease or a fence in a row's place is not an answer", async () => {
    for (const type of [RecordType.lease, RecordType.fence]) {
      const { runner, run } = scene()
      const key = Buffer.from('users:1')
      const hash = runner.store.hash(key, 0, key.length)
      runner.store.set(key, 0, key.length, hash, type, Buffer.from('x'), 0, 1, 0, runner.wallMs)
      assert.equal(await run('GET users:1'), ANN)
      assert.equal(runner.atOnce, false)
    }
  })

  test('MGET mixes rows and plain keys in order, and asks once for all rows that are not in memory', async () => {
    const { cache, run } = scene()
    await run('SET a 1')
    await run('HSET h f v')
    await run('GET users:2')
    cache.loads = []
    const hits = cache.hits[0]!
    const misses = cache.misses[0]!
    const expected = [null, ANN, '1', BOB, null, null, ANN]
    assert.deepEqual(await run('MGET none users:1 a users:2 users:9 h users:1'), expected)
    assert.deepEqual(cache.loads, [['users:1', 'users:9', 'users:1']])
    assert.deepEqual([cache.hits[0]! - hits, cache.misses[0]! - misses], [3, 4])
  })

  test('RESP3 shows a row as a map', async () => {
    const { runner, run } = scene()
    runner.resp = 3
    const row = new Map([
      ['id', '2'],
      ['name', 'Bob'],
    ])
    assert.deepEqual(await run('HGETALL users:2'), row)
    assert.deepEqual(await run('HGETALL users:2'), row)
  })

  test('a row key that is not UTF-8 is refused, not confused with another', async () => {
    const { cache, runner } = scene()
    const key = Buffer.concat([Buffer.from('users:'), Buffer.from([0xff])])
    assert.match(String(await runner.run('GET', key)), /^-ROW_KEY_INVALID .*UTF-8/)
    assert.match(String(await runner.run('DEL', key)), /^-ROW_KEY_INVALID /)
    assert.deepEqual(cache.loads, [])
  })

  test('a row key over the limit is refused before anybody is asked', async () => {
    const { cache, runner } = scene()
    const key = `users:${'1'.repeat(65_530)}`
    for (const command of [['GET'], ['EXISTS'], ['HGETALL'], ['MGET', 'a'], ['DEL'], ['GETDEL']]) {
      assert.match(String(await runner.run(...command, key)), /^-VALUE_TOO_LARGE a key of 65536 bytes: /)
    }
    assert.deepEqual(cache.loads, [])
    assert.equal(cache.transactions, 0)
  })

  test('SCAN and KEYS see rows in memory as hashes, and no rows that are missing or elsewhere', async () => {
    const { run } = scene()
    await run('SET a 1')
    await run('MGET users:1 users:9')
    assert.deepEqual(((await run('KEYS *')) as string[]).sort(), ['a', 'users:1'])
    assert.deepEqual(await run('SCAN 0 COUNT 100000 TYPE hash'), ['0', ['users:1']])
    assert.deepEqual(await run('SCAN 0 COUNT 100000 MATCH users:*'), ['0', ['users:1']])
  })
})

describe('writing row keys', () => {
  const writes = [
    ['SET users:3 {"name":"Cy"}', 'OK', '{"id":3,"name":"Cy","city":null}'],
    ['SET users:1 {"name":"Cy"}', 'OK', '{"id":1,"name":"Cy","city":null}'],
    ['SET users:1 {"name":"Cy"} KEEPTTL', 'OK', '{"id":1,"name":"Cy","city":null}'],
    ['SET users:1 {"name":"Cy"} NX', null, ANN],
    ['SET users:3 {"name":"Cy"} NX', 'OK', '{"id":3,"name":"Cy","city":null}'],
    ['SET users:1 {"name":"Cy"} XX', 'OK', '{"id":1,"name":"Cy","city":null}'],
    ['SET users:3 {"name":"Cy"} XX', null, null],
    ['SET users:1 {"name":"Cy"} GET', ANN, '{"id":1,"name":"Cy","city":null}'],
    ['SET users:3 {"name":"Cy"} GET', null, '{"id":3,"name":"Cy","city":null}'],
    ['SET users:1 {"name":"Cy"} NX GET', ANN, ANN],
    ['SETNX users:1 {"name":"Cy"}', 0, ANN],
    ['SETNX users:3 {"name":"Cy"}', 1, '{"id":3,"name":"Cy","city":null}'],
    ['HSET users:1 city Rome', 0, '{"id":1,"name":"Ann","city":"Rome"}'],
    ['HSET users:2 city Rome name Rob', 1, '{"id":2,"name":"Rob","city":"Rome"}'],
    ['HSET users:2 city Rome city Oslo', 1, '{"id":2,"name":"Bob","city":"Oslo"}'],
    ['HSET users:3 city Rome', 1, '{"id":3,"name":null,"city":"Rome"}'],
    ['HDEL users:1 city', 1, '{"id":1,"name":"Ann","city":null}'],
    ['HDEL users:1 city city name', 2, '{"id":1,"name":null,"city":null}'],
    ['HDEL users:2 city', 0, BOB],
    ['HDEL users:3 city', 0, null],
    ['GETDEL users:1', ANN, null],
    ['GETDEL users:3', null, null],
    ['DEL users:1', 1, null],
    ['UNLINK users:3', 0, null],
    ['PERSIST users:1', 0, ANN],
  ] as const

  for (const [line, reply, after] of writes) {
    test(`${line} replies ${JSON.stringify(reply)}, and the row is ${after}`, async () => {
      const { run } = scene()
      assert.deepEqual(await run(line), reply)
      assert.equal(await run(`GET ${line.split(' ')[1]}`), after)
    })
  }

  test('DEL of rows and plain keys counts what existed, and removes the rows in one transaction', async () => {
    const { cache, run } = scene()
    await run('MSET a 1 b 2')
    assert.equal(await run('DEL users:1 a users:9 users:1 c users:2 a'), 3)
    assert.equal(cache.transactions, 1)
    assert.equal(cache.rows.size, 0)
    assert.deepEqual(await run('MGET a b'), [null, '2'])
  })

  test('MSET of rows and plain keys writes the rows in one transaction, the last value of a key counting', async () => {
    const { cache, run } = scene()
    assert.equal(await run('MSET a 1 users:1 {} users:4 {"name":"Di"} a 2 users:1 {"name":"Al"}'), 'OK')
    assert.equal(cache.transactions, 1)
    assert.deepEqual(await run('MGET a users:1 users:4'), [
      '2',
      '{"id":1,"name":"Al","city":null}',
      '{"id":4,"name":"Di","city":null}',
    ])
  })

  test('an MSET whose rows are refused changes nothing, plain keys included', async () => {
    const { cache, run } = scene()
    assert.match(String(await run('MSET a 1 users:1 {} users:2 nonsense b 2')), /^-ROW_INVALID /)
    assert.deepEqual(await run('MGET a b users:1'), [null, null, ANN])
    assert.equal(cache.transactions, 0)
  })

  test("the source's refusals are the reply, and nothing changes", async () => {
    const { run } = scene()
    assert.match(String(await run('HSET users:1 name Al id 5')), /^-ROW_KEY_COLUMN /)
    assert.match(String(await run('HDEL users:1 id')), /^-ROW_KEY_COLUMN /)
    assert.match(String(await run('HSET users:1 age 5')), /^-ROW_INVALID /)
    assert.match(String(await run('SET users:1 nonsense')), /^-ROW_INVALID /)
    assert.equal(await run('GET users:1'), ANN)
  })

  test('what would make a row expire is refused with the reason', async () => {
    const { cache, run } = scene()
    for (const line of [
      'SET users:1 {} EX 10',
      'SET users:1 {} PX 10',
      'SET users:1 {} EXAT 4102444800',
      'SET users:1 {} PXAT 4102444800000 NX GET',
      'SETEX users:1 10 {}',
      'PSETEX users:1 10 {}',
      'GETEX users:1 EX 10',
      'GETEX users:1 PXAT 4102444800000',
      'EXPIRE users:1 10',
      'PEXPIRE users:1 10',
      'EXPIREAT users:9 4102444800 NX',
      'PEXPIREAT users:1 1',
    ]) {
      assert.match(
        String(await run(line)),
        /^-ROW_TTL users:\d is a row of table users .*as long as the database/,
        line,
      )
    }
    assert.equal(cache.transactions, 0)
    assert.equal(await run('GET users:1'), ANN)
  })

  test('operations that rows do not have are refused with what to do instead', async () => {
    const { cache, run } = scene()
    await run('SET a 1')
    for (const line of [
      'APPEND users:1 x',
      'INCR users:1',
      'DECR users:1',
      'INCRBY users:1 5',
      'DECRBY users:1 5',
      'RENAME users:1 b',
      'RENAME a users:1',
      'RENAMENX users:1 users:2',
      'COPY users:1 b',
      'COPY a users:1 REPLACE',
    ]) {
      const reply = String(await run(line))
      const command = line.split(' ')[0]!
      assert.match(
        reply,
        new RegExp(`^-ROW_OPERATION ${command} is not for users:1, a row of table users: .*instead`),
        line,
      )
    }
    assert.equal(cache.transactions, 0)
    assert.deepEqual(await run('MGET a b users:1'), ['1', null, ANN])
  })

  test("syntax errors are Redis' own on row keys too", async () => {
    const { cache, run } = scene()
    assert.equal(await run('SET users:1 {} foo'), '-ERR syntax error')
    assert.equal(await run('SET users:1 {} NX XX'), '-ERR syntax error')
    assert.equal(await run('HSET users:1 name'), "-ERR wrong number of arguments for 'hset' command")
    assert.equal(await run('HSET users:1 name a city'), "-ERR wrong number of arguments for 'hset' command")
    assert.equal(await run('MSET users:1 {} users:2'), "-ERR wrong number of arguments for 'mset' command")
    assert.equal(await run('EXPIRE users:1 x'), '-ERR value is not an integer or out of range')
    assert.equal(cache.transactions, 0)
  })

  test('no command with a key is left out here', async () => {
    // Every command, on a row key with too little else to succeed: it answers, and not with a plain record.
    for (const command of keyCommands) {
      if (command.keys[0] === 0) continue
      const { runner } = scene()
      const fillers = { setex: ['10', '{}'], psetex: ['10', '{}'] }[command.name] ?? ['{}', '{}']
      const count = Math.abs(command.arity) - 2
      await runner.run(command.name, 'users:1', ...fillers.slice(0, count))
      const key = Buffer.from('users:1')
      const type = runner.store.find(key, 0, key.length, runner.store.hash(key, 0, key.length), runner.wallMs)
      assert.ok(type !== RecordType.string && type !== RecordType.hash, `${command.name} left a record of type ${type}`)
    }
  })
})
