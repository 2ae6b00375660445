// Calls whose reply is lost with the connection: the server has done it, and the tier asks again. What callers are told is
// what happened, and nothing happens twice that must not.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { ManualClock } from '../../src/testing/clock.ts'
import { TierScene } from '../../src/testing/tier-scene.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { RedisProcess } from '../support/redis-process.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { tierOptions } from './valkey-scene.ts'

/** Passes everything on to a server, and now and then breaks a connection in the place of an answer. */
class Lossy {
  readonly #server: Server
  /** Requests with this in them get no answer but the end of their connection, so often. */
  #losing = { text: '', times: 0 }
  lost = 0

  constructor(port: number) {
    this.#server = createServer(socket => {
      const upstream = connect(port, '127.0.0.1')
      let dooms = false
      socket.on('data', (bytes: Buffer) => {
        if (this.#losing.times > 0 && bytes.includes(this.#losing.text)) {
          this.#losing.times--
          dooms = true
        }
        upstream.write(bytes)
      })
      upstream.on('data', (bytes: Buffer) => {
        if (!dooms) return void socket.write(bytes)
        this.lost++
        socket.destroy()
      })
      socket.on('close', () => upstream.destroy())
      upstream.on('close', () => socket.destroy())
      socket.on('error', () => {})
      upstream.on('error', () => {})
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  lose(text: string, times = 1): void {
    this.#losing = { text, times }
    this.lost = 0
  }

  close(): void {
    this.#server.close()
  }
}

describe('calls whose reply is lost', { skip: !redisInstalled() && 'redis-server is not installed' }, () => {
  let server: RedisProcess
  let lossy: Lossy
  let tier: ValkeyTier
  let scene: TierScene

  before(async () => {
    server = await RedisProcess.start()
    lossy = new Lossy(server.port)
    tier = await ValkeyTier.connect(tierOptions([await lossy.listen()], { lanes: 2 }))
  })
  after(async () => {
    await tier.close()
    lossy.close()
    await server.close()
  })
  beforeEach(async () => {
    await server.command('FLUSHALL')
    scene = new TierScene({ tier, clock: new ManualClock() })
    await scene.reset()
  })

  // Each test loses one reply at a time, and no test passes because it lost none.
  afterEach(() => assert.equal(lossy.lost, 1))

  test('a lease that was granted is granted, and fills', async () => {
    lossy.lose('_lease')
    const reply = await tier.lease(scene.key, { token: 5n, epoch: 7n, leaseMs: 1_000 })
    assert.deepEqual({ outcome: reply.outcome, lane: reply.lane }, { outcome: 'granted', lane: await scene.state() })
    assert.equal(await scene.fill(5n, 'a', scene.load()), 'filled')
  })

  test("a lease that another one holds is not taken for one's own", async () => {
    await scene.lease(6n)
    lossy.lose('_lease')
    assert.equal(await scene.lease(5n), 'leased')
  })

  test('a renewal that was granted is granted', async () => {
    await scene.put('a', scene.write(1n, 110n))
    lossy.lose('_renew')
    assert.equal(await scene.renew(5n), 'granted')
    assert.equal(await scene.renew(6n), 'leased')
    assert.equal(await scene.fill(5n, 'b', scene.load()), 'filled')
  })

  test('a renewal that was granted as a lease, where no value is, is granted', async () => {
    lossy.lose('_renew')
    assert.equal(await scene.renew(5n), 'granted')
    assert.equal(await scene.fill(5n, 'b', scene.load()), 'filled')
  })

  test('a lease is held, and one that was given back is gone the second time', async () => {
    await scene.lease(5n)
    lossy.lose('_hold')
    assert.equal(await tier.hold(scene.key, 5n, 1_000), 'held')
    assert.equal(await tier.hold(scene.key, 5n, 0), 'held')
    assert.equal(await tier.hold(scene.key, 5n, 0), 'gone')
    assert.equal(await scene.lease(6n), 'granted')
  })

  test('a fill took effect, though it is told as refused: its lease is used up', async () => {
    await scene.lease(5n)
    lossy.lose('_fill')
    assert.equal(await scene.fill(5n, 'a', scene.load()), 'refused')
    assert.equal(await scene.value(), 'a')
  })

  test('a put is stored, and does not undo what came between', async () => {
    lossy.lose('_put')
    assert.equal(await scene.put('a', scene.write(1n, 110n)), 'stored')
    assert.equal(await scene.value(), 'a')
  })

  test('a put under a fence removes what it stored itself, as it cannot know', async () => {
    await scene.begin(5n)
    lossy.lose('_put_fenced')
    assert.equal(await scene.putFenced(5n, 'a'), 'voided')
    assert.equal(await scene.record(), undefined)
  })

  test('fences and voids take effect once or twice, which is the same', async () => {
    lossy.lose('_begin')
    assert.equal(await scene.begin(5n), 'fenced')
    assert.equal(await scene.putFenced(5n, 'a'), 'stored')
    lossy.lose('_void')
    assert.equal(await tier.voidKey(scene.key), 'voided')
    assert.equal(await scene.record(), undefined)
  })

  test('a batch that was applied is applied, one message long', async () => {
    const { sequence } = await scene.state()
    lossy.lose('_apply')
    assert.equal(await scene.apply(150n, [scene.event(1n, 120n)]), 'applied')
    assert.equal((await scene.state()).sequence, sequence + 1)
  })

  test('a lane that was reset is reset, once', async () => {
    lossy.lose('_reset')
    const { generation, mark, sequence } = await scene.reset(500n)
    assert.equal(mark.lsn, 500n)
    assert.deepEqual(await scene.state(), { generation, mark, sequence })
    assert.equal(sequence, 1)
  })

  test('a command beside the tier is not sent again', async () => {
    lossy.lose('counter')
    const key = Buffer.from('counter')
    await assert.rejects(tier.command(key, ['INCR', key]), { code: 'TIER_UNAVAILABLE', message: /connection was lost/ })
    assert.equal(await server.command('GET', 'counter'), '1')
    assert.equal(await tier.command(key, ['INCR', key]), 2)
    await assert.rejects(tier.command(key, ['LPUSH', key, 'x']), { message: /^WRONGTYPE/ })
  })
})
