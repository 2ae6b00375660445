// One real server under a ValkeyTier: what it loses, what it refuses, what does not fit, and who may connect.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { START, TierScene } from '../../src/testing/tier-scene.ts'
import type { LaneListener } from '../../src/tier/tier.ts'
import { laneTags } from '../../src/tier/valkey-lanes.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { RedisProcess, until } from '../support/redis-process.ts'
import { freePort, redisInstalled } from '../support/redis-server.ts'
import { tierOptions } from './valkey-scene.ts'

const skip = !redisInstalled() && 'redis-server is not installed'
const LANES = 8
const unavailable = { name: 'TidemarkError', code: 'TIER_UNAVAILABLE' }

function sceneOf(tier: ValkeyTier): TierScene {
  return new TierScene({ tier, clock: new ManualClock() })
}

/** Remembers what it is told. */
class Ear implements LaneListener {
  readonly messages: LaneMessage[] = []
  readonly lostLanes: number[] = []

  message(_lane: number, message: LaneMessage): void {
    this.messages.push(message)
  }

  lost(lanes: readonly number[]): void {
    this.lostLanes.push(...lanes)
  }
}

describe('a tier on one server', { skip }, () => {
  let server: RedisProcess
  let tier: ValkeyTier
  let scene: TierScene

  before(async () => {
    server = await RedisProcess.start()
    tier = await ValkeyTier.connect(tierOptions([server.port], { lanes: LANES }))
  })
  after(async () => {
    await tier.close()
    await server.close()
  })
  beforeEach(async () => {
    await server.command('FLUSHALL')
    scene = sceneOf(tier)
    await scene.reset()
  })

  const names = (lane: number, letter: string): string => `tm:{${laneTags(LANES)[lane]}}:${letter}`

  test('functions that were flushed are loaded again when they are called', async () => {
    await scene.put('a', scene.write(1n, 110n))
    await server.command('FUNCTION', 'FLUSH')
    assert.equal(await scene.put('b', scene.write(2n, 120n)), 'stored')
    assert.equal(await scene.apply(150n, [scene.event(2n, 130n, 119n)]), 'applied')
    assert.equal(await scene.value(), 'b')
  })

  test('after FLUSHALL nothing has an effect until the lane is reset', async () => {
    await scene.put('a', scene.write(1n, 110n))
    await server.command('FLUSHALL')
    assert.deepEqual(await tier.read([scene.key]), [{ lane: undefined, record: undefined }])
    assert.equal(await scene.put('a', scene.write(1n, 110n)), 'no-lane')
    await scene.reset(500n)
    assert.equal(await scene.put('a', scene.write(1n, 510n)), 'stored')
  })

  test('a header that is gone takes the lane with it, and so does its list of changes', async () => {
    for (const letter of ['h', 'r']) {
      await scene.put('a', scene.write(1n, 110n))
      const { generation, mark } = await scene.state()
      await server.command('DEL', names(scene.lane, letter))
      assert.equal(await tier.lane(scene.lane), undefined)
      const next = { lsn: 150n, sub: 0n }
      const request = { generation, prev: mark, next, events: [scene.event(2n, 120n)] }
      assert.deepEqual(await tier.apply(scene.lane, request), { outcome: 'no-lane', lane: undefined })
      await scene.reset()
      assert.equal(await scene.value(), undefined)
    }
  })

  test('headers have no time to live, and everything else has one', async () => {
    await scene.put('a', scene.write(1n, 110n))
    await scene.lease(1n, scene.neighbours[0])
    await scene.begin(1n, 1_000)
    const keys = (await server.command('KEYS', 'tm:*:*')) as string[]
    assert.equal(keys.length, 4)
    for (const key of keys) {
      const ttl = Number(await server.command('PTTL', key))
      assert.equal(ttl > 0, key.includes(':k'), key)
      assert.ok(ttl <= limits.tierTtlMsDefault)
    }
  })

  test('records, headers and messages of another version read as nothing', async () => {
    await scene.put('a', scene.write(1n, 110n))
    await server.command('SETRANGE', names(scene.lane, `k${scene.key}`), 0, Buffer.from([2]))
    assert.equal(await scene.record(), undefined)
    assert.equal(await scene.lease(1n), 'granted')
    await server.command('SETRANGE', names(scene.lane, 'h'), 0, Buffer.from([2]))
    assert.equal(await tier.lane(scene.lane), undefined)
    const ear = new Ear()
    const subscription = await tier.subscribe(ear)
    await server.command('SPUBLISH', names(scene.lane, 'm'), Buffer.from([2, 0x4d, 1]))
    await until('the message has come', () => ear.lostLanes.length > 0)
    assert.deepEqual([ear.lostLanes, ear.messages], [[scene.lane], []])
    await subscription.close()
  })

  test("a lane's messages are counted past 32 bits", async () => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(2n ** 32n - 1n)
    await server.command('SETRANGE', names(scene.lane, 'h'), 14, bytes)
    assert.equal((await scene.state()).sequence, 2 ** 32 - 1)
    await scene.put('a', scene.write(1n, 110n))
    assert.equal((await scene.state()).sequence, 2 ** 32)
    await scene.apply(150n)
    assert.equal((await scene.state()).sequence, 2 ** 32 + 1)
  })

  test('keys may hold anything', async () => {
    const keys = ['', ' ', '\0', '\r\n', '{', '}', '{t1}', 'a:{b}:c', '\u00e4\u4e16\ud83d\ude00', 'x'.repeat(5_000)]
    for (const [index, key] of keys.entries()) {
      const lane = scene.laneOf(key)
      if ((await tier.lane(lane)) === undefined) {
        await tier.reset(lane, { expected: undefined, to: START, generation: scene.generation() })
      }
      assert.equal(await scene.put(`value ${index}`, scene.write(1n, 110n), key), 'stored')
    }
    for (const [index, key] of keys.entries()) assert.equal(await scene.value(key), `value ${index}`)
    const reads = await tier.read(keys)
    assert.ok(reads.every(({ record }) => record?.type === 'value'))
  })

  test('a value of many megabytes is stored as it is, and one beyond the limit takes away what was there', async () => {
    const payload = Buffer.alloc(20_000_000, 'tide')
    assert.equal(await tier.put(scene.key, { payload, stamp: scene.write(1n, 110n) }), 'stored')
    const record = await scene.record()
    assert.ok(record?.type === 'value' && record.payload !== null && payload.equals(record.payload))
    const huge = Buffer.alloc(limits.valueBytesMax + 1)
    assert.equal(await tier.put(scene.key, { payload: huge, stamp: scene.write(2n, 120n) }), 'too-large')
    assert.equal(await scene.record(), undefined)
    // A load that does not fit takes away nothing but its lease.
    await scene.lease(7n)
    await scene.put('newer', scene.write(3n, 130n))
    assert.equal(await tier.fill(scene.key, 7n, { payload: huge, stamp: scene.load() }), 'too-large')
    assert.equal((await scene.record())?.type, 'value')
  })

  test('another number of lanes is refused; the same, or another prefix, is not', async () => {
    const connect = (lanes: number, prefix = 'tm'): Promise<ValkeyTier> =>
      ValkeyTier.connect(tierOptions([server.port], { lanes, prefix }))
    await (await connect(LANES)).close()
    await assert.rejects(connect(4), { name: 'TidemarkError', code: 'TIER_MISMATCH', message: /8 lanes.*set to 4/ })
    await (await connect(4, 'other')).close()
    await server.command('SET', 'tm:lanes', '2 8')
    await assert.rejects(connect(LANES), { code: 'TIER_MISMATCH', message: /format 2/ })
  })

  test('a server without memory left keeps nothing new, and nothing old in its place', async () => {
    await scene.put('old', scene.write(1n, 110n))
    await scene.lease(7n, scene.neighbours[0])
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1')
    try {
      assert.equal(await scene.put('new', scene.write(2n, 120n)), 'too-large')
      assert.equal(await scene.record(), undefined)
      assert.equal(await scene.fill(7n, 'a', scene.load(), scene.neighbours[0]), 'too-large')
      await assert.rejects(scene.lease(8n), { ...unavailable, message: /OOM/ })
      const written = { payload: Buffer.from('new'), stamp: scene.write(3n, 130n) }
      for (const id of [9n, 8n]) {
        assert.equal(await scene.tier.begin(scene.key, 9n, 60_000), 'fenced')
        assert.equal(await scene.tier.putFenced(scene.key, id, written), 'too-large')
        // In nobody's place but its own, which lasts for a moment.
        const left = await scene.record()
        if (left?.type === 'fence') assert.notEqual(left.id, 9n)
        else assert.equal(left, undefined)
      }
      assert.equal(await scene.apply(150n, [scene.event(2n, 120n)]), 'applied')
      await scene.reset(500n)
      assert.equal((await scene.state()).mark.lsn, 500n)
    } finally {
      await server.command('CONFIG', 'SET', 'maxmemory', '0')
    }
    assert.equal(await scene.put('new', scene.write(2n, 520n)), 'stored')
  })

  test('settings that the tier cannot work well with are told when it connects', async () => {
    const told = async (...setting: string[]): Promise<string> => {
      await server.command('CONFIG', 'SET', ...setting)
      const warnings: string[] = []
      await (
        await ValkeyTier.connect(
          tierOptions([server.port], {
            lanes: LANES,
            warn: ({ code, message }) => void warnings.push(`${code} ${message}`),
          }),
        )
      ).close()
      return warnings.join()
    }
    assert.match(await told('maxmemory', '0'), /^TIER_SETUP .*has no maxmemory/)
    assert.match(await told('maxmemory', '1gb'), /evicts nothing/)
    assert.match(await told('maxmemory-policy', 'allkeys-lru'), /may evict lane headers/)
    assert.equal(await told('maxmemory-policy', 'volatile-lfu'), '')
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '0')
  })

  test('a server that stops in its tracks is noticed, and found again when it goes on', async () => {
    const ear = new Ear()
    const subscription = await tier.subscribe(ear)
    await scene.put('a', scene.write(1n, 110n))
    server.pause()
    await assert.rejects(scene.value(), unavailable)
    await until('messages are known to be lost', () => ear.lostLanes.length >= LANES)
    // It is known to be gone by now: nobody waits for it any more.
    await assert.rejects(scene.value(), { ...unavailable, message: /silent|cannot be reached/ })
    server.resume()
    await until('it answers again', () => scene.value().catch(() => undefined))
    assert.equal(await scene.value(), 'a')
    await until('every lane is subscribed again', async () => {
      const heard = ear.messages.length
      await tier.voidKey(scene.neighbours[0]!)
      await until('the message comes', () => ear.messages.length > heard, 100).catch(() => {})
      return ear.messages.length > heard
    })
    assert.equal(new Set(ear.lostLanes).size, LANES)
    await subscription.close()
  })

  test('who listens is told that messages of a lane were lost which is subscribed only later', async () => {
    const own = await ValkeyTier.connect(tierOptions([server.port], { lanes: LANES, times: { connectMs: 200 } }))
    const config = (clients: string): Promise<unknown> =>
      own.command(Buffer.from('a'), ['CONFIG', 'SET', 'maxclients', clients])
    const connected = /connected_clients:(\d+)/.exec(String(await own.command(Buffer.from('a'), ['INFO', 'clients'])))
    const ear = new Ear()
    try {
      await config(connected![1]!)
      const subscription = await own.subscribe(ear)
      assert.deepEqual(ear.lostLanes, [])
      await config('10000')
      await until('it is subscribed', () => ear.lostLanes.length === LANES)
      await subscription.close()
    } finally {
      await config('10000')
      await own.close()
    }
  })

  test('a server that starts again from an old snapshot has lanes that are worth nothing', async () => {
    await scene.put('a', scene.write(1n, 110n))
    await server.command('SAVE')
    await scene.apply(150n, [scene.event(2n, 120n)])
    await server.restart()
    assert.equal(
      await until('it is connected again', () =>
        tier
          .lane(scene.lane)
          .then(lane => lane ?? 'none')
          .catch(() => false),
      ),
      'none',
    )
    assert.ok((await server.command('EXISTS', names(scene.lane, 'h'))) === 1)
    assert.equal(await scene.record(), undefined)
    await scene.reset(500n)
    assert.equal(await scene.record(), undefined)
  })
})

describe('connecting a tier', { skip }, () => {
  test('a password passes through, and a wrong one is told', async () => {
    const server = await RedisProcess.start({ args: ['--requirepass', 'secret'] })
    try {
      const options = tierOptions([server.port], { lanes: 1 })
      const tier = await ValkeyTier.connect({ ...options, client: { password: 'secret' } })
      assert.equal(await tier.lane(0), undefined)
      await tier.close()
      await assert.rejects(ValkeyTier.connect({ ...options, client: { password: 'wrong' } }), {
        ...unavailable,
        message: /WRONGPASS/,
      })
    } finally {
      await server.close()
    }
  })

  test('the rights that the guide names are enough', async () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/valkey.md'), 'utf8')
    const rule = /^ACL SETUSER tidemark .*$/m.exec(guide)?.[0]
    assert.ok(rule !== undefined, 'the guide says which rights the user needs')
    const server = await RedisProcess.start()
    try {
      await server.command(...rule.split(' '))
      const client = { username: 'tidemark', password: 'secret' }
      const tier = await ValkeyTier.connect({ ...tierOptions([server.port], { lanes: 2 }), client })
      const ear = new Ear()
      await tier.subscribe(ear)
      const scene = sceneOf(tier)
      await scene.reset()
      await scene.loadInto('a', scene.load())
      await scene.put('b', scene.write(1n, 110n))
      await scene.apply(150n, [scene.event(2n, 120n)])
      await scene.begin(1n)
      await scene.putFenced(1n, 'c')
      await tier.voidKey(scene.key)
      await until('messages have come', () => ear.messages.length === 6)
      await until('the connections were looked after', async () => {
        const log = String(await server.command('INFO', 'commandstats'))
        return /cmdstat_client\|info:/.test(log) && /cmdstat_ping:/.test(log)
      })
      assert.deepEqual(await server.command('ACL', 'LOG'), [])
      await tier.close()
    } finally {
      await server.close()
    }
  })

  test('of several servers one that is there is enough; where none is, that is told', async () => {
    const server = await RedisProcess.start()
    const nobody = [await freePort(), await freePort()]
    try {
      const tier = await ValkeyTier.connect(tierOptions([...nobody, server.port], { lanes: 1 }))
      assert.equal(await tier.lane(0), undefined)
      await tier.close()
      await assert.rejects(ValkeyTier.connect(tierOptions(nobody)), { ...unavailable, message: /ECONNREFUSED/ })
    } finally {
      await server.close()
    }
  })
})
