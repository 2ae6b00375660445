// Several processes, here several caches, over one tier: a single server of Valkey's kind, a cluster, and a Tidemark server.
// What one writes all see; a tier that goes away holds nobody up.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { KeyspaceOptions, TidemarkError, TidemarkOptions } from '../../src/index.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { freePort, startRedis } from '../support/redis-server.ts'
import { TidemarkProcess } from '../support/tidemark-process.ts'
import { Functions, refused } from './scene.ts'

interface Place {
  readonly url: string | readonly string[]
  stop(): Promise<void>
  /** Nobody answers there any more, until the function returned is called. */
  freeze?(): () => void
}

async function until(what: string, holds: () => unknown): Promise<void> {
  for (let i = 0; i < 1_500; i++) {
    if ((await holds()) === true) return
    await wait(10)
  }
  assert.fail(`never: ${what}`)
}

async function one(): Promise<Place | undefined> {
  const redis = await startRedis()
  return redis && { url: `valkey://127.0.0.1:${redis.port}`, stop: () => redis.stop() }
}

async function cluster(): Promise<Place | undefined> {
  const started = await RedisCluster.start({ primaries: 3 })
  return started && { url: started.addresses.slice(0, 2).map(at => `valkey://${at}`), stop: () => started.close() }
}

async function server(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-shared-'))
  const process = await TidemarkProcess.start({ name: 'tier', folder, args: ['--tier-memory', '32mb'] })
  return {
    url: `tidemark://127.0.0.1:${process.port}`,
    stop: async () => {
      await process.close()
      rmSync(folder, { recursive: true, force: true })
    },
    freeze: () => {
      process.pause()
      return () => process.resume()
    },
  }
}

const places: Record<string, () => Promise<Place | undefined>> = {
  'one server of the kind of Valkey': one,
  'a cluster': cluster,
  'a Tidemark server': server,
}

class Scene {
  readonly place: Place
  readonly #tides: Tidemark[] = []

  constructor(place: Place) {
    this.place = place
  }

  open(options: TidemarkOptions = {}): Tidemark {
    const tide = new Tidemark({ tier: this.place.url, ...options })
    this.#tides.push(tide)
    return tide
  }

  async close(): Promise<void> {
    await Promise.all(this.#tides.map(tide => tide.close()))
    await this.place.stop()
  }
}

async function scene(t: TestContext, make: () => Promise<Place | undefined>): Promise<Scene | undefined> {
  const place = await make()
  if (place === undefined) {
    t.skip('redis-server is not installed')
    return undefined
  }
  const made = new Scene(place)
  t.after(() => made.close())
  return made
}

async function ownValues(s: Scene): Promise<void> {
  const [a, b] = [s.open(), s.open()]
  const rich = { at: new Date(5), map: new Map([['k', 1n]]), bytes: Buffer.from([1, 2]), nothing: null }
  assert.deepEqual(await a.getOrSet('rich', () => rich), rich)
  await until('b finds it', async () => (await b.get('rich')) !== undefined)
  const found = (await b.get('rich')) as typeof rich
  assert.deepEqual({ ...found, bytes: Buffer.from(found.bytes) }, rich)
  await until('b holds it near', () => b.values.peek('rich') !== undefined)
  await a.set('rich', 'other')
  assert.equal(await a.get('rich'), 'other')
  await until('b hears of it', async () => (await b.get('rich')) === 'other')
  assert.equal(await b.delete('rich'), true)
  assert.equal(await b.delete('rich'), false)
  await until('a hears of that', async () => (await a.get('rich')) === undefined)
  assert.equal(await a.set('null', null), null)
  await until('null is a value in between', async () => (await b.get('null')) === null)
  assert.equal(await b.getOrSet('null', () => assert.fail('built')), null)
  let builds = 0
  const build = async () => {
    builds++
    await wait(100)
    return builds
  }
  const asked = await Promise.all([a, b, a, b].map(tide => tide.getOrSet('once', build)))
  assert.deepEqual(new Set(asked).size, builds)
  assert.equal(builds, 1)
  for (const key of ['__proto__', '', ':', 'é', 'x'.repeat(5_000)]) {
    await a.set(key, key)
    await until(`b finds ${key.slice(0, 10)}`, async () => (await b.get(key)) === key)
  }
}

async function functions(s: Scene): Promise<void> {
  const source = new Functions({ 1: 'one', null: null })
  const options: KeyspaceOptions<unknown> = { source, ttl: '1m' }
  const [a, b] = [s.open().keyspace('users', options), s.open().keyspace('users', options)]
  assert.equal(await a.get('1'), 'one')
  await until('what a loaded is in the tier', async () => (await b.read('1')).tier !== 'source')
  const { length } = source.loads
  assert.equal(await b.get('1'), 'one')
  assert.equal(await b.get('null'), null)
  assert.equal(await b.get('nobody'), undefined)
  await until('so is that nobody is there', async () => (await a.read('nobody')).tier !== 'source')
  await until('b holds it near', () => b.peek('1') === 'one')
  assert.ok(source.loads.length >= length)
  await a.set('1', 'two')
  await until('b hears of it', async () => (await b.get('1')) === 'two')
  source.rows.set('1', 'behind the back')
  await b.invalidate('1')
  assert.equal(await b.get('1'), 'behind the back')
  await until('a hears of that', async () => (await a.get('1')) === 'behind the back')
  await a.delete('1')
  await until('b hears that it is gone', async () => (await b.get('1')) === undefined)
}

async function unencodable(s: Scene): Promise<void> {
  const tide = s.open()
  const errors: unknown[] = []
  tide.on('error', ({ error }) => errors.push(error))
  const call = () => 1
  await refused(() => tide.set('call', { call }), 'VALUE_UNENCODABLE', /values:call/)
  assert.equal(await tide.get('call'), undefined)
  // A build's value is answered, and cannot be kept.
  assert.deepEqual(await tide.getOrSet('call', () => ({ call })), { call })
  await until('somebody is told', () => errors.length > 0)
  assert.equal(await tide.get('call'), undefined)
  const users = tide.keyspace('users', { source: new Functions({ 1: { call } }) })
  assert.deepEqual(await users.get('1'), { call })
  assert.deepEqual(await users.set('2', { call }), { call })
  assert.deepEqual(await users.get('2'), { call })
  // The lane goes on for all others.
  await tide.set('fine', 1)
  assert.equal(await s.open().get('fine'), 1)
}

async function cleared(s: Scene): Promise<void> {
  const source = new Functions({ 1: 'one' })
  const [a, b] = [s.open(), s.open()]
  const [users, usersOfB] = [a, b].map(tide => tide.keyspace('users', { source, ttl: '1h', missingTtl: '1h' }))
  const keys = Array.from({ length: 100 }, (_, i) => String(i))
  await a.values.setMany(keys.map(key => [key, 'old'] as const))
  for (const key of keys) await until('b finds it', async () => (await b.get(key)) === 'old')
  await until('b holds it near', async () => (await b.get('7')) === 'old' && b.values.peek('7') === 'old')
  assert.equal(await users!.get('2'), undefined)
  await until('that there is none is in the tier', async () => (await usersOfB!.read('2')).tier !== 'source')
  source.rows.set('2', 'two')
  await Promise.all([a.values.clear(), users!.clear()])
  assert.deepEqual(await a.values.getMany(keys), new Map())
  assert.equal(await users!.get('2'), 'two')
  await until('b has heard of it', () => b.values.peek('7') === undefined)
  assert.deepEqual(await b.values.getMany(keys), new Map())
  await until('of both', async () => (await usersOfB!.get('2')) === 'two')
  await b.set('7', 'new')
  await until('what is set after it stays', async () => (await a.get('7')) === 'new')
  // One that has only just begun.
  const c = s.open()
  assert.equal(await c.get('7'), 'new')
  assert.equal(await c.get('8'), undefined)
  await c.values.clear()
  await until('all hear of that one', async () => (await a.get('7')) === undefined && (await b.get('7')) === undefined)
}

async function gone(s: Scene): Promise<void> {
  const tide = s.open()
  const source = new Functions({ 1: 'one', 2: 'two' })
  const users = tide.keyspace('users', { source })
  assert.equal(await users.get('1'), 'one')
  await tide.getOrSet('a', () => 1)
  const bring = s.place.freeze?.()
  if (bring === undefined) await s.place.stop()
  const before = performance.now()
  assert.equal(await users.get('2'), 'two')
  assert.equal(await users.set('2', 'new'), 'new')
  assert.equal(await users.get('2'), 'new')
  assert.equal(await tide.getOrSet('b', () => 2, { tags: ['t'] }), 2)
  await refused(() => tide.values.clear(), 'TIER_UNAVAILABLE')
  assert.ok(performance.now() - before < 5_000, 'nobody waits for a tier that is gone')
  bring?.()
}

for (const [name, make] of Object.entries(places)) {
  void describe(`caches over ${name}`, () => {
    const tests = {
      'own values': ownValues,
      functions,
      'values without bytes': unencodable,
      'a keyspace that is cleared': cleared,
      'a tier that is gone': gone,
    }
    for (const [what, body] of Object.entries(tests)) {
      void test(what, async t => {
        const made = await scene(t, make)
        if (made !== undefined) await body(made)
      })
    }
  })
}

void test('those who encrypt read what they wrote, and others do not; nor is it there in the clear', async t => {
  const s = await scene(t, one)
  if (s === undefined) return
  const keys = { 1: Buffer.alloc(32, 1), 2: Buffer.alloc(32, 2) }
  const sealed = (current: string) => s.open({ encryption: { current, keys } })
  const [a, b, plain] = [sealed('1'), sealed('2'), s.open()]
  await a.set('secret', 'of a')
  await until('b reads it with the other key of the ring', async () => (await b.get('secret')) === 'of a')
  assert.equal(await plain.get('secret'), undefined)
  await plain.set('secret', 'plain')
  assert.equal(await a.get('secret'), 'of a')
})

void test('a keyspace of another version, or schema, loads anew', async t => {
  const s = await scene(t, one)
  if (s === undefined) return
  const source = new Functions({ 1: 'one' })
  const first = s.open().keyspace('users', { source, version: 1 })
  await first.get('1')
  await until('it is in the tier', async () => (await s.open().keyspace('users', { source, version: 1 }).read('1')).tier !== 'source') // prettier-ignore
  const second = s.open().keyspace('users', { source, version: 2 })
  assert.equal((await second.read('1')).tier, 'source')
  assert.equal(await second.get('1'), 'one')
})

void test('a tier that cannot be reached is told of, once, and calls are answered all the same', async t => {
  const tide = new Tidemark({ tier: `tidemark://127.0.0.1:${await freePort()}` })
  t.after(() => tide.close())
  const errors: unknown[] = []
  tide.on('error', ({ error }) => errors.push(error))
  const users = tide.keyspace('users', { source: new Functions({ 1: 'one' }) })
  assert.equal(await users.get('1'), 'one')
  assert.equal(await tide.getOrSet('a', () => 1), 1)
  assert.deepEqual(
    errors.map(error => (error as TidemarkError).code),
    ['TIER_UNAVAILABLE'],
  )
})
