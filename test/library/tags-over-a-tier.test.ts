// Tags among processes that share a tier: what one gives up, all have given up; what was filed under a tag of before is not
// there, wherever it was read, and however late it was stored. Each process is a Tidemark of its own over one redis-server.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createTidemark, type Tidemark } from '../../src/index.ts'
import { redisInstalled, startRedis, type RedisServer } from '../support/redis-server.ts'

describe('tags over a shared tier', { skip: !redisInstalled() }, () => {
  let redis: RedisServer
  const opened: Tidemark[] = []
  const open = async (): Promise<Tidemark> => {
    const tide = await createTidemark({ tier: `valkey://127.0.0.1:${redis.port}` })
    opened.push(tide)
    return tide
  }

  before(async () => {
    redis = (await startRedis())!
  })
  after(async () => {
    for (const tide of opened) await tide.close()
    await redis.stop()
  })

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 500; i++) {
      if (await holds()) return
      await wait(10)
    }
    assert.fail(`never: ${what}`)
  }

  test('one process gives up what another holds near', async () => {
    const [a, b] = [await open(), await open()]
    const tags = ['reports', 'daily']
    assert.equal(await a.getOrSet('today', () => 'first', { tags }), 'first')
    await until('b finds it in the tier', async () => (await b.get('today')) === 'first')
    await until('b holds it near', async () => b.values.peek('today') === 'first')
    await a.deleteByTag('reports')
    assert.equal(a.values.peek('today'), undefined)
    await until('b has let it go', async () => b.values.peek('today') === undefined)
    assert.equal(await b.get('today'), undefined)
    assert.equal(await b.getOrSet('today', () => 'second', { tags }), 'second')
    await until('a finds that one', async () => (await a.get('today')) === 'second')
  })

  test('a value without the tag stays', async () => {
    const a = await open()
    await a.getOrSet('kept', () => 1, { tags: ['other'] })
    await a.deleteByTag('unknown')
    await until('it is stored', async () => (await a.get('kept')) === 1)
  })

  test('what is built while its tag is given up is not kept', async () => {
    const [a, b] = [await open(), await open()]
    const building = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const built = a.getOrSet(
      'slow',
      async () => {
        begun.resolve()
        await building.promise
        return 'old'
      },
      { tags: ['slow ones'] },
    )
    await begun.promise
    await b.deleteByTag('slow ones')
    building.resolve()
    assert.equal(await built, 'old')
    await wait(50)
    assert.equal(a.values.peek('slow'), undefined)
    assert.equal(await a.get('slow'), undefined)
    assert.equal(await b.get('slow'), undefined)
    assert.equal(await b.getOrSet('slow', () => 'new', { tags: ['slow ones'] }), 'new')
  })

  test('a value of its own time is over in all of them', async () => {
    const [a, b] = [await open(), await open()]
    await a.getOrSet('brief', () => 'x', { ttl: '300ms' })
    await until('b holds it near', async () => (await b.get('brief')) === 'x')
    await until(
      'and then no more',
      async () => b.values.peek('brief') === undefined && (await b.get('brief')) === undefined,
    )
    await until('nor does a', async () => (await a.get('brief')) === undefined)
  })

  test('a tag that the tier was not told of is not given up: whoever asked for it is told', async () => {
    const own = (await startRedis())!
    const tide = await createTidemark({ tier: `valkey://127.0.0.1:${own.port}` })
    try {
      await tide.getOrSet('today', () => 1, { tags: ['reports'] })
      await tide.deleteByTag('reports')
      await own.stop()
      await assert.rejects(tide.deleteByTag('reports'), { code: 'TIER_UNAVAILABLE' })
    } finally {
      await tide.close()
    }
  })
})
