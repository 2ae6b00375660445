// The commands on row keys, over a real cache and a real SQLite file: what they reply, what they refuse, what the rows are
// afterwards, and that memory answers when it may.
import { describe, mock, test } from 'node:test'
import assert from 'node:assert/strict'
import { RecordType } from '../../src/store/layout.ts'
import { seededRandom } from '../../src/base/random.ts'
import { randomToken } from '../../src/coherence/record.ts'
import type { ManualClock } from '../../src/testing/clock.ts'
import { BOUND_MS, Scene } from '../cache/scene.ts'
import { CommandRunner, keyCommands, plain } from '../support/call.ts'
import { ANN, BOB, RowScene } from './row-scene.ts'

async function whileTimePasses<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const state = { settled: false }
  const settle = (): void => {
    state.settled = true
  }
  promise.then(settle, settle)
  while (!state.settled) {
    clock.advance(10)
    await new Promise(setImmediate)
  }
  return promise
}

/** By the definition, over all prefixes. */
function lcsLength(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, () => 0)
  for (const x of a) {
    const next = [0]
    for (let j = 1; j <= b.length; j++) next.push(x === b[j - 1] ? row[j - 1]! + 1 : Math.max(row[j]!, next[j - 1]!))
    row = next
  }
  return row[b.length]!
}

describe('reading row keys', () => {
  test('GET loads a row once, as JSON, and then answers from memory', async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('GET users:1'), ANN)
    assert.equal(rows.runner.atOnce, false)
    assert.equal(await rows.run('GET users:1'), ANN)
    assert.equal(rows.runner.atOnce, true)
    assert.deepEqual(rows.loads, [['1']])
    assert.deepEqual([rows.hits, rows.misses], [1, 1])
  })

  test('a missing row is nil, and remembered as missing', async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('GET users:9'), null)
    assert.equal(await rows.run('GET users:9'), null)
    assert.equal(rows.runner.atOnce, true)
    assert.equal(rows.loads.length, 1)
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
      assert.deepEqual(await rows.run(line), reply, line)
      assert.equal(rows.runner.atOnce, true, line)
    }
    assert.equal(rows.loads.length, 1)
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
    ['GETRANGE users:1 0 5', ANN.slice(0, 6)],
    ['SUBSTR users:1 -2 -1', '"}'],
    ['HSTRLEN users:1 name', 3],
    ['HSTRLEN users:2 city', 0],
    ['HRANDFIELD users:2 5', ['id', 'name']],
    ['HRANDFIELD users:2 5 WITHVALUES', ['id', '2', 'name', 'Bob']],
    ['HSCAN users:1 0', ['0', ['id', '1', 'name', 'Ann', 'city', 'Ely']]],
    ['HSCAN users:2 0 MATCH n*', ['0', ['name', 'Bob']]],
    ['LCS users:1 users:2 LEN', lcsLength(ANN, BOB)],
    ['OBJECT ENCODING users:1', 'row'],
    ['OBJECT REFCOUNT users:1', 1],
    ['OBJECT ENCODING users:9', null],
  ] as const

  for (const [line, reply] of reads) {
    test(`${line} answers the same from the database and from memory`, async () => {
      await using rows = await RowScene.open()
      assert.deepEqual(await rows.run(line), reply)
      assert.equal(rows.runner.atOnce, false)
      assert.equal(rows.loads.length, 1, 'all keys in one question')
      assert.deepEqual(await rows.run(line), reply)
      assert.equal(rows.runner.atOnce, true)
      assert.equal(rows.loads.length, 1)
    })
  }

  test('a row that may not be answered from memory is asked for', async () => {
    await using rows = await RowScene.open()
    await rows.run('GET users:1')
    rows.scene.other.exec("UPDATE users SET name = 'Eve', city = NULL WHERE id = 1")
    // Nobody has proved anything about the row for longer than its keyspace allows.
    rows.scene.clock.advance(BOUND_MS + 1)
    const now = '{"id":1,"name":"Eve","city":null}'
    for (const [line, reply] of [
      ['GET users:1', now],
      ['MGET users:1', [now]],
      ['HGET users:1 name', 'Eve'],
      ['HLEN users:1', 2],
      ['STRLEN users:1', now.length],
      ['EXISTS users:1', 1],
    ] as const) {
      assert.deepEqual(await rows.run(line), reply, line)
      assert.equal(rows.runner.atOnce, false, line)
    }
  })

  test('HGET answers what is there now when the row is changed while it is looked at', async () => {
    for (const [column, now] of [
      ['name', 'Eve'],
      ['id', '1'],
      ['city', null],
    ] as const) {
      await using rows = await RowScene.open()
      const { store, other } = rows.scene
      await rows.run('GET users:1')
      const key = Buffer.from('users:1')
      const hash = store.hash(key, 0, key.length)
      const confirm = mock.method(store, 'confirm', () => {
        // Once: after the column was found and copied, before it counts.
        confirm.mock.restore()
        other.exec("UPDATE users SET name = 'Eve', city = NULL WHERE id = 1")
        store.withLock(hash, () => store.remove(key, 0, key.length, hash))
        return store.confirm()
      })
      assert.equal(await rows.run(`HGET users:1 ${column}`), now)
      assert.equal(confirm.mock.callCount(), 1)
      assert.equal(rows.runner.atOnce, false)
    }
  })

  test('HGET of a row in memory is right for every spelling of names and values', async () => {
    const schema = `
      DROP TABLE users;
      CREATE TABLE users (id INTEGER PRIMARY KEY, "a""b" TEXT, "größe" TEXT, n REAL, quoted TEXT, data ANY, b BLOB) STRICT;
      INSERT INTO users VALUES (1, 'x', 'lang', 2.5, 'say "hi"', x'00ff', x'4142'), (2, NULL, '', -0.5, '\\', 'plain', NULL)`
    await using scene = await Scene.open({ schema })
    const runner = new CommandRunner(scene.store, scene.cache, scene.clock.wallMs())
    for (const round of [1, 2]) {
      for (const [id, column, value] of [
        [1, 'a"b', 'x'],
        [1, 'größe', 'lang'],
        [1, 'n', '2.5'],
        [1, 'quoted', 'say "hi"'],
        // Not UTF-8, which the test's own client reads it as.
        [1, 'data', '\0\ufffd'],
        [1, 'b', 'AB'],
        [1, 'a', null],
        [2, 'b', null],
        [2, 'a"b', null],
        [2, 'größe', ''],
        [2, 'n', '-0.5'],
        [2, 'quoted', '\\'],
        [2, 'data', 'plain'],
      ] as const) {
        const reply = plain(await runner.raw('HGET', `users:${id}`, column))
        assert.deepEqual(reply, value, `${column} of row ${id}, time ${round}`)
      }
    }
  })

  test('a thread that has not heard of an altered table reads rows that another has loaded', async () => {
    await using rows = await RowScene.open()
    const { scene, run } = { scene: rows.scene, run: (line: string) => rows.run(line) }
    const second = scene.secondThread()
    const { columns } = scene.sqlite.describe()[0]!
    const alter = async (sql: string): Promise<void> => {
      scene.other.exec(sql)
      scene.sqlite.poll()
      // The other thread knows what the columns are, and this one is never told.
      second.cache.describe(scene.sqlite.describe())
      await scene.read('users:1', second.cache)
    }
    const answered = async (line: string, reply: unknown): Promise<void> => {
      assert.deepEqual(await run(line), reply, line)
      assert.equal(rows.runner.atOnce, true, line)
    }
    assert.equal(await run('HGET users:1 name'), 'Ann')
    await alter("ALTER TABLE users ADD COLUMN photo BLOB DEFAULT x'616263'")
    await answered('HGET users:1 photo', 'abc')
    await answered('HMGET users:1 photo name', ['abc', 'Ann'])
    await answered('HGETALL users:1', ['id', '1', 'name', 'Ann', 'city', 'Ely', 'photo', 'abc'])
    await answered('HSTRLEN users:1 photo', 3)
    await alter("ALTER TABLE users DROP COLUMN photo; ALTER TABLE users ADD COLUMN photo TEXT DEFAULT 'YWJj'")
    await answered('HGET users:1 photo', 'YWJj')
    await alter('ALTER TABLE users RENAME COLUMN photo TO picture')
    await answered('HGET users:1 photo', null)
    await answered('HGET users:1 picture', 'YWJj')
    // As bytes in what was a column for text, and its name for a column of bytes.
    await alter(`DROP TABLE users; CREATE TABLE users (id INTEGER PRIMARY KEY, city TEXT, name BLOB) STRICT;
      INSERT INTO users VALUES (1, 'QW5u', x'416e6e')`)
    await answered('HGETALL users:1', ['id', '1', 'city', 'QW5u', 'name', 'Ann'])
    assert.deepEqual(scene.cache.keyspaceOf(Buffer.from('users:1'), 0, 7)!.description.columns, columns)
  })

  test("a fence or another thread's lease in a row's place is not an answer", async () => {
    for (const inPlace of ['fence', 'lease'] as const) {
      await using rows = await RowScene.open()
      const { scene } = rows
      const tier = scene.tier(scene.store, scene.table)
      const token = randomToken(seededRandom(9))
      if (inPlace === 'fence') tier.begin('users:1', token, 60_000)
      else tier.lease('users:1', { token, epoch: scene.sqlite.epoch, leaseMs: 60_000 })
      // Whoever finds a lease waits for its fill, for a while.
      const reply = await whileTimePasses(scene.clock, rows.run('GET users:1'))
      assert.equal(reply, ANN)
      assert.equal(rows.runner.atOnce, false)
    }
  })

  test('MGET mixes rows and plain keys in order, and asks once for all rows that are not in memory', async () => {
    await using rows = await RowScene.open()
    await rows.run('SET a 1')
    await rows.run('HSET h f v')
    await rows.run('GET users:2')
    const { hits, misses } = rows
    const expected = [null, ANN, '1', BOB, null, null, ANN]
    assert.deepEqual(await rows.run('MGET none users:1 a users:2 users:9 h users:1'), expected)
    assert.deepEqual(rows.loads, [['2'], ['1', '9']])
    assert.deepEqual([rows.hits - hits, rows.misses - misses], [3, 4])
  })

  test('RESP3 shows a row as a map', async () => {
    await using rows = await RowScene.open()
    rows.runner.resp = 3
    const row = new Map([
      ['id', '2'],
      ['name', 'Bob'],
    ])
    assert.deepEqual(await rows.run('HGETALL users:2'), row)
    assert.deepEqual(await rows.run('HGETALL users:2'), row)
  })

  test('a row key that is not UTF-8 is refused, not confused with another', async () => {
    await using rows = await RowScene.open()
    const key = Buffer.concat([Buffer.from('users:'), Buffer.from([0xff])])
    assert.match(String(await rows.runner.run('GET', key)), /^-ROW_KEY_INVALID .*UTF-8/)
    assert.match(String(await rows.runner.run('DEL', key)), /^-ROW_KEY_INVALID /)
    assert.deepEqual(rows.loads, [])
  })

  test('a row key over the limit is refused before anybody is asked', async () => {
    await using rows = await RowScene.open()
    const key = `users:${'1'.repeat(65_530)}`
    for (const command of [['GET'], ['EXISTS'], ['HGETALL'], ['MGET', 'a'], ['DEL'], ['GETDEL']]) {
      assert.match(String(await rows.runner.run(...command, key)), /^-VALUE_TOO_LARGE a key of 65536 bytes: /)
    }
    assert.deepEqual(rows.loads, [])
    assert.equal(rows.transactions, 0)
  })

  test('SCAN and KEYS see rows in memory as hashes, and no rows that are missing or elsewhere', async () => {
    await using rows = await RowScene.open()
    await rows.run('SET a 1')
    await rows.run('MGET users:1 users:9')
    assert.deepEqual(((await rows.run('KEYS *')) as string[]).sort(), ['a', 'users:1'])
    assert.deepEqual(await rows.run('SCAN 0 COUNT 100000 TYPE hash'), ['0', ['users:1']])
    assert.deepEqual(await rows.run('SCAN 0 COUNT 100000 MATCH users:*'), ['0', ['users:1']])
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
    ['GETSET users:1 {"name":"Cy"}', ANN, '{"id":1,"name":"Cy","city":null}'],
    ['GETSET users:3 {"name":"Cy"}', null, '{"id":3,"name":"Cy","city":null}'],
    ['HMSET users:1 city Rome name Al', 'OK', '{"id":1,"name":"Al","city":"Rome"}'],
    ['HMSET users:3 city Rome', 'OK', '{"id":3,"name":null,"city":"Rome"}'],
    ['HSETNX users:1 city Rome', 0, ANN],
    ['HSETNX users:2 city Rome', 1, '{"id":2,"name":"Bob","city":"Rome"}'],
    ['HSETNX users:3 city Rome', 1, '{"id":3,"name":null,"city":"Rome"}'],
    ['HINCRBY users:2 city 5', 5, '{"id":2,"name":"Bob","city":"5"}'],
    ['HINCRBY users:3 city -5', -5, '{"id":3,"name":null,"city":"-5"}'],
    ['HINCRBYFLOAT users:2 city 0.5', '0.5', '{"id":2,"name":"Bob","city":"0.5"}'],
    ['MSETNX users:3 {"name":"Cy"}', 1, '{"id":3,"name":"Cy","city":null}'],
    ['MSETNX users:1 {"name":"Cy"}', 0, ANN],
  ] as const

  for (const [line, reply, after] of writes) {
    test(`${line} replies ${JSON.stringify(reply)}, and the row is ${after}`, async () => {
      await using rows = await RowScene.open()
      assert.deepEqual(await rows.run(line), reply)
      const key = line.split(' ')[1]!
      assert.equal(await rows.run(`GET ${key}`), after)
      assert.equal(rows.stored(Number(key.slice('users:'.length))), after)
    })
  }

  test('DEL of rows and plain keys counts what existed, and removes the rows in one transaction', async () => {
    await using rows = await RowScene.open()
    await rows.run('MSET a 1 b 2')
    assert.equal(await rows.run('DEL users:1 a users:9 users:1 c users:2 a'), 3)
    assert.equal(rows.transactions, 1)
    assert.deepEqual([rows.stored(1), rows.stored(2)], [null, null])
    assert.deepEqual(await rows.run('MGET a b'), [null, '2'])
  })

  test('MSET of rows and plain keys writes the rows in one transaction, the last value of a key counting', async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('MSET a 1 users:1 {} users:4 {"name":"Di"} a 2 users:1 {"name":"Al"}'), 'OK')
    assert.equal(rows.transactions, 1)
    assert.deepEqual(await rows.run('MGET a users:1 users:4'), [
      '2',
      '{"id":1,"name":"Al","city":null}',
      '{"id":4,"name":"Di","city":null}',
    ])
  })

  test('an MSET whose rows are refused changes nothing, plain keys included', async () => {
    await using rows = await RowScene.open()
    assert.match(String(await rows.run('MSET a 1 users:1 {} users:2 nonsense b 2')), /^-ROW_INVALID /)
    assert.deepEqual(await rows.run('MGET a b users:1'), [null, null, ANN])
    assert.equal(rows.stored(1), ANN)
  })

  test("the source's refusals are the reply, and nothing changes", async () => {
    await using rows = await RowScene.open()
    assert.match(String(await rows.run('HSET users:1 name Al id 5')), /^-ROW_KEY_COLUMN /)
    assert.match(String(await rows.run('HDEL users:1 id')), /^-ROW_KEY_COLUMN /)
    assert.match(String(await rows.run('HSET users:1 age 5')), /^-ROW_INVALID /)
    assert.match(String(await rows.run('SET users:1 nonsense')), /^-ROW_INVALID /)
    assert.equal(await rows.run('GET users:1'), ANN)
  })

  test('what would make a row expire is refused with the reason', async () => {
    await using rows = await RowScene.open()
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
        String(await rows.run(line)),
        /^-ROW_TTL users:\d is a row of table users .*as long as the database/,
        line,
      )
    }
    assert.equal(rows.transactions, 0)
    assert.equal(await rows.run('GET users:1'), ANN)
  })

  test('operations that rows do not have are refused with what to do instead', async () => {
    await using rows = await RowScene.open()
    await rows.run('SET a 1')
    for (const line of [
      'APPEND users:1 x',
      'SETRANGE users:1 0 x',
      'INCRBYFLOAT users:1 1.5',
      'SETBIT users:1 1 1',
      'GETBIT users:1 1',
      'BITCOUNT users:1',
      'BITPOS users:1 1',
      'BITOP AND users:1 a',
      'BITOP AND b a users:1',
      'BITFIELD users:1 SET u8 0 1',
      'BITFIELD_RO users:1 GET u8 0',
      'RESTORE users:1 0 x',
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
      const reply = String(await rows.run(line))
      const command = line.split(' ')[0]!
      assert.match(
        reply,
        new RegExp(`^-ROW_OPERATION ${command} is not for users:1, a row of table users: .*instead`),
        line,
      )
    }
    assert.equal(rows.transactions, 0)
    assert.deepEqual(await rows.run('MGET a b users:1'), ['1', null, ANN])
  })

  test("syntax errors are Redis' own on row keys too", async () => {
    await using rows = await RowScene.open()
    assert.equal(await rows.run('SET users:1 {} foo'), '-ERR syntax error')
    assert.equal(await rows.run('SET users:1 {} NX XX'), '-ERR syntax error')
    assert.equal(await rows.run('HSET users:1 name'), "-ERR wrong number of arguments for 'hset' command")
    assert.equal(await rows.run('HSET users:1 name a city'), "-ERR wrong number of arguments for 'hset' command")
    assert.equal(await rows.run('MSET users:1 {} users:2'), "-ERR wrong number of arguments for 'mset' command")
    assert.equal(await rows.run('EXPIRE users:1 x'), '-ERR value is not an integer or out of range')
    assert.equal(rows.transactions, 0)
  })

  test('no command with a key is left out here', async () => {
    // Every command, on a row key with too little else to succeed: it answers, and not with a plain record.
    await using rows = await RowScene.open()
    for (const command of keyCommands) {
      if (command.keys[0] === 0) continue
      const fillers = {
        setex: ['10', '{}'],
        psetex: ['10', '{}'],
        bitop: ['users:1', 'users:1'],
      }[command.name] ?? ['{}', '{}']
      const count = Math.abs(command.arity) - 2
      await rows.runner.run(command.name, 'users:1', ...fillers.slice(0, count))
      const key = Buffer.from('users:1')
      const { store, wallMs } = rows.runner
      const type = store.find(key, 0, key.length, store.hash(key, 0, key.length), wallMs)
      assert.ok(type !== RecordType.string && type !== RecordType.hash, `${command.name} left a record of type ${type}`)
    }
  })
})
