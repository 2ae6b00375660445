// The commands on plain keys where a script cannot say the reply: chance, iteration over many fields, dumps that move
// between here and the real redis-server, and our own limits.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Store } from '../../src/store/store.ts'
import { dumpHash } from '../../src/wire/rdb-value.ts'
import { type Argument, CommandRunner } from '../support/call.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { RespClient } from '../support/resp-client.ts'

function newRunner(memoryBytes: number = 4_194_304): CommandRunner {
  return new CommandRunner(Store.create({ memoryBytes, seed: 7 }))
}

function fieldsOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => [`f${i}`, `v${i}`]).flat()
}

/** The bytes of a bulk reply. */
async function bulk(runner: CommandRunner, ...args: readonly Argument[]): Promise<Buffer> {
  const raw = await runner.raw(...args)
  return raw.subarray(raw.indexOf('\n') + 1, raw.length - 2)
}

describe('random fields and keys', () => {
  test('HRANDFIELD with a count gives so many different fields, each as often as any other', async () => {
    const runner = newRunner()
    await runner.run('HSET', 'h', ...fieldsOf(10))
    const seen = new Map<string, number>()
    for (let i = 0; i < 2000; i++) {
      const fields = (await runner.line('HRANDFIELD h 3')) as string[]
      assert.equal(new Set(fields).size, 3)
      for (const field of fields) seen.set(field, (seen.get(field) ?? 0) + 1)
    }
    assert.equal(seen.size, 10)
    // 600 each, give or take; the random numbers are the same at every run.
    for (const [field, times] of seen) assert.ok(times > 500 && times < 700, `${field}: ${times}`)
  })

  test('HRANDFIELD with a negative count may repeat, and pairs values with their fields', async () => {
    const runner = newRunner()
    await runner.run('HSET', 'h', ...fieldsOf(3))
    const fields = (await runner.line('HRANDFIELD h -300 WITHVALUES')) as string[]
    assert.equal(fields.length, 600)
    for (let i = 0; i < 600; i += 2) assert.equal(fields[i + 1], fields[i]!.replace('f', 'v'))
    assert.equal(new Set(fields).size, 6)
    runner.resp = 3
    const pairs = (await runner.line('HRANDFIELD h -5 WITHVALUES')) as string[][]
    assert.ok(pairs.length === 5 && pairs.every(pair => pair.length === 2))
    const single = new Set<unknown>()
    for (let i = 0; i < 100; i++) single.add(await runner.line('HRANDFIELD h'))
    assert.equal(single.size, 3)
  })

  test('a reply of many repeated fields is refused before it is made', async () => {
    const runner = newRunner()
    await runner.run('HSET', 'h', 'f', 'v'.repeat(300_000))
    const refused = `^-VALUE_TOO_LARGE HRANDFIELD .* ${limits.repeatedReplyBytesMax} bytes`
    assert.match(String(await runner.line('HRANDFIELD h -1000000000000 WITHVALUES')), new RegExp(refused))
  })

  test('RANDOMKEY gives every key its turn, and no key that has expired', async () => {
    const runner = newRunner()
    for (let i = 0; i < 50; i++) await runner.line(`SET key:${i} ${i}`)
    await runner.line('SET gone 1 PX 10')
    runner.wallMs += 10
    const seen = new Set<unknown>()
    for (let i = 0; i < 1500; i++) seen.add(await runner.line('RANDOMKEY'))
    assert.equal(seen.size, 50)
    runner.store.clear()
    assert.equal(await runner.line('RANDOMKEY'), null)
    await runner.line('SET last 1')
    for (let i = 0; i < 20; i++) assert.equal(await runner.line('RANDOMKEY'), 'last')
  })
})

describe('HSCAN', () => {
  async function scan(runner: CommandRunner, options: string, between?: () => Promise<unknown>): Promise<string[][]> {
    const parts: string[][] = []
    let cursor = '0'
    do {
      const [next, part] = (await runner.line(`HSCAN h ${cursor} ${options}`.trim())) as [string, string[]]
      parts.push(part)
      cursor = next
      await between?.()
    } while (cursor !== '0')
    return parts
  }

  test('goes through a large hash in parts, and sees every field once while nothing changes', async () => {
    const runner = newRunner()
    await runner.run('HSET', 'h', ...fieldsOf(1000))
    const parts = await scan(runner, 'COUNT 50')
    assert.ok(parts.length >= 20 && parts.every(part => part.length <= 2 * 52), `${parts.length} parts`)
    const fields = parts.flat().filter((_, i) => i % 2 === 0)
    assert.deepEqual([fields.length, new Set(fields).size], [1000, 1000])
    const some = (await scan(runner, 'MATCH f7*')).flat()
    assert.equal(some.length, 2 * 111)
  })

  test('sees every field that is there all the time, whatever comes and goes meanwhile', async () => {
    const runner = newRunner()
    await runner.run('HSET', 'h', ...fieldsOf(600))
    const random = seededRandom(5)
    const change = async (): Promise<void> => {
      await runner.line(`HDEL h f${300 + random.below(300)} f${300 + random.below(300)}`)
      await runner.line(`HSET h new${random.below(1000)} x`)
    }
    const seen = new Set((await scan(runner, 'COUNT 20', change)).flat())
    for (let i = 0; i < 300; i++) assert.ok(seen.has(`f${i}`), `f${i}`)
  })
})

describe('limits of our own', () => {
  test('LCS is refused where it would take too much time and memory', async () => {
    const runner = newRunner()
    await runner.run('MSET', 'a', 'x'.repeat(5000), 'b', 'x'.repeat(5000), 'c', 'xyz', 'e', '')
    assert.match(
      String(await runner.line('LCS a b LEN')),
      new RegExp(`^-VALUE_TOO_LARGE LCS .* ${limits.lcsCellsMax} `),
    )
    assert.equal(await runner.line('LCS a c LEN'), 1)
    assert.equal(await runner.line('LCS a e'), '')
    assert.equal(await runner.line('LCS c c'), 'xyz')
  })

  test('MSETNX keeps all or none, however many of the values are larger than a segment', async () => {
    const runner = newRunner(2_097_152)
    const large = 'x'.repeat(60_000)
    assert.equal(await runner.run('MSETNX', 'a', '1', 'b', large, 'c', '2', 'd', large), 1)
    assert.deepEqual(await runner.run('MGET', 'a', 'b', 'c', 'd'), ['1', large, '2', large])
    assert.equal(await runner.run('MSETNX', 'e', '1', 'f', large, 'g', large, 'c', '2'), 0)
    assert.equal(await runner.line('EXISTS e f g'), 0)
    // Given twice, only the last counts.
    assert.equal(await runner.run('MSETNX', 'e', large, 'e', 'small', 'f', large, 'g', large), 1)
    assert.deepEqual(await runner.run('MGET', 'e', 'f', 'g'), ['small', large, large])
    runner.store.check()
  })

  test('keys and values over their limits are refused by every command that could make them', async () => {
    const runner = newRunner(1_048_576)
    const key = 'k'.repeat(65_536)
    const huge = String(runner.store.valueBytesMax + 1)
    for (const command of [
      ['MSETNX', 'a', '1', key, '1'],
      ['GETSET', key, '1'],
      ['SETRANGE', key, '0', 'x'],
      ['INCRBYFLOAT', key, '1'],
      ['SETBIT', key, '0', '1'],
      ['BITOP', 'OR', key, 'a'],
      ['BITFIELD', key, 'SET', 'u8', '0', '1'],
      ['HSETNX', key, 'f', 'v'],
      ['HINCRBY', key, 'f', '1'],
      ['RESTORE', key, '0', 'x'],
    ]) {
      assert.match(String(await runner.run(...command)), /^-VALUE_TOO_LARGE a key of 65536 bytes/, command[0]!)
    }
    for (const command of [
      ['SETRANGE', 'a', huge, 'x'],
      ['SETBIT', 'a', String(Number(huge) * 8), '1'],
      ['BITFIELD', 'a', 'SET', 'u8', `#${huge}`, '1'],
      ['HSETNX', 'a', 'f', 'x'.repeat(Number(huge))],
    ]) {
      assert.match(String(await runner.run(...command)), /^-VALUE_TOO_LARGE a value of \d+ bytes/, command[0]!)
    }
    assert.equal(await runner.line('EXISTS a'), 0)
    assert.deepEqual(await runner.line(`BITFIELD a GET u8 #${huge}`), [0])
    assert.equal(runner.store.size(), 0)
  })

  test('MEMORY USAGE grows with key and value, and OBJECT FREQ counts reads up to three', async () => {
    const runner = newRunner()
    await runner.run('MSET', 'a', 'x', 'b', 'x'.repeat(1000))
    const [small, large] = [await runner.line('MEMORY USAGE a SAMPLES 5'), await runner.line('MEMORY USAGE b')]
    assert.deepEqual([small, Number(large) - Number(small)], [32, 1000])
    assert.equal(await runner.line('EXPIRE a 100'), 1)
    assert.equal(await runner.line('MEMORY USAGE a'), 40)
    await runner.line('SET c 1')
    const reads: unknown[] = []
    for (let i = 0; i < 3; i++) {
      reads.push(await runner.line('OBJECT FREQ c'))
      await runner.line('GET c')
    }
    assert.equal(reads[0], 0)
    assert.equal(await runner.line('OBJECT FREQ c'), 3)
    assert.match(String(await runner.line('OBJECT IDLETIME c')), /^-ERR An LFU maxmemory policy is selected, idle time/)
  })
})

describe('dumps, to and from the real redis-server', () => {
  let redis: RedisServer | undefined
  before(async () => {
    redis = await startRedis()
  })
  after(async () => {
    await redis?.stop()
  })

  const random = seededRandom(13)
  const strings: readonly (string | Buffer)[] = [
    '',
    'text',
    '0',
    '-1',
    '127',
    '-128',
    '32767',
    '-32769',
    '2147483647',
    '-2147483649',
    '9223372036854775807',
    'x'.repeat(63),
    'x'.repeat(64),
    'ab'.repeat(10_000),
    'y'.repeat(20_000),
    Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
    // Bytes that cannot be packed.
    Buffer.from(Array.from({ length: 20_000 }, () => random.below(256))),
  ]
  const large = fieldsOf(600)
  const hashes: readonly (readonly string[])[] = [
    ['f', 'v'],
    [
      '',
      '',
      'n',
      '12',
      'm',
      '-4000',
      'o',
      '4096',
      'p',
      '-8388608',
      'q',
      '9223372036854775807',
      'r',
      '70000',
      's',
      '128',
    ],
    ['long', 'z'.repeat(60), 'empty', ''],
    ['longer', 'z'.repeat(5000), 'x', 'y'.repeat(200)],
    large,
  ]

  test('a value is the same after it has been there and back', async t => {
    if (redis === undefined) return t.skip('redis-server is not installed')
    const client = await RespClient.connect(redis.port, { exact: true })
    const runner = newRunner()
    for (const value of strings) {
      await client.command('SET', 'k', value)
      const theirs = (await client.command('DUMP', 'k')) as Buffer
      assert.equal(await runner.run('RESTORE', 'k', '0', theirs, 'REPLACE'), 'OK')
      assert.deepEqual(await bulk(runner, 'GET', 'k'), Buffer.from(value))
      assert.equal(await client.command('RESTORE', 'k', 0, await bulk(runner, 'DUMP', 'k'), 'REPLACE'), 'OK')
      assert.deepEqual(await client.command('GET', 'k'), Buffer.from(value))
    }
    for (const fields of hashes) {
      await client.command('DEL', 'h')
      await client.command('HSET', 'h', ...fields)
      const theirs = (await client.command('DUMP', 'h')) as Buffer
      assert.equal(await runner.run('RESTORE', 'h', '0', theirs, 'REPLACE'), 'OK')
      assert.equal(await client.command('RESTORE', 'h', 0, await bulk(runner, 'DUMP', 'h'), 'REPLACE'), 'OK')
      assert.equal(Number(await client.command('HLEN', 'h')), fields.length / 2)
      for (let i = 0; i < fields.length; i += 2) {
        assert.equal(await runner.run('HGET', 'h', fields[i]!), fields[i + 1])
        assert.equal(String(await client.command('HGET', 'h', fields[i]!)), fields[i + 1])
      }
    }
    client.close()
  })

  test('the expiry is what RESTORE says, and a time that is over leaves nothing', async () => {
    const runner = newRunner()
    await runner.line('SET a 1')
    const dump = await bulk(runner, 'DUMP', 'a')
    assert.equal(await runner.run('RESTORE', 'b', '5000', dump), 'OK')
    assert.equal(await runner.line('PTTL b'), 5000)
    assert.equal(await runner.run('RESTORE', 'c', '4102444800000', dump, 'ABSTTL'), 'OK')
    assert.equal(await runner.line('PEXPIRETIME c'), 4_102_444_800_000)
    assert.match(String(await runner.run('RESTORE', 'a', '0', dump)), /^-BUSYKEY /)
    assert.equal(await runner.run('RESTORE', 'a', '1', dump, 'ABSTTL', 'REPLACE'), 'OK')
    assert.equal(await runner.line('EXISTS a'), 0)
  })

  test('a dumped hash that names a field twice is refused', async () => {
    const runner = newRunner()
    const twice = dumpHash([
      ['f', Buffer.from('1')],
      ['f', Buffer.from('2')],
    ])
    assert.equal(await runner.run('RESTORE', 'h', '0', twice), '-ERR Bad data format')
  })

  test('a damaged dump is refused, and a dump of another type with the way out', async t => {
    if (redis === undefined) return t.skip('redis-server is not installed')
    const client = await RespClient.connect(redis.port, { exact: true })
    const runner = newRunner()
    await client.command('SET', 'k', 'some value')
    const dump = (await client.command('DUMP', 'k')) as Buffer
    for (let i = 0; i < dump.length; i++) {
      const damaged = Buffer.from(dump)
      damaged[i] = damaged[i]! ^ 1
      const reply = String(await runner.run('RESTORE', 'k', '0', damaged))
      assert.equal(reply, '-ERR DUMP payload version or checksum are wrong')
      assert.match(String(await runner.run('RESTORE', 'k', '0', dump.subarray(0, i))), /^-ERR DUMP payload version/)
    }
    for (const [command, type] of [
      [['RPUSH', 'other', 'x'], 'list'],
      [['SADD', 'other', 'x'], 'set'],
      [['SADD', 'other', '1'], 'set'],
      [['ZADD', 'other', '1', 'x'], 'zset'],
      [['XADD', 'other', '*', 'a', 'b'], 'stream'],
    ] as const) {
      await client.command('DEL', 'other')
      await client.command(...command)
      const other = (await client.command('DUMP', 'other')) as Buffer
      const reply = String(await runner.run('RESTORE', 'k', '0', other))
      assert.match(reply, new RegExp(`^-COMMAND_UNSUPPORTED RESTORE of a ${type}: .* Redis or Valkey beside it`))
    }
    assert.equal(await runner.line('EXISTS k'), 0)
    client.close()
  })
})
