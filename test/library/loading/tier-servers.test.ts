// Loading over real shared tiers, a server of Valkey's kind and a Tidemark server, with the server stopped, killed and back in
// between: one of several processes loads, old values are answered, and nobody waits for a server that does not answer.
// Real servers take the time they take: what is asserted of time leaves room for a busy machine. Not for: what needs no server
// (tier.test.ts has the clock in its hands).
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { KeyspaceOptions } from '../../../src/index.ts'
import type { Keyspace } from '../../../src/library/keyspace.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { RedisProcess } from '../../support/redis-process.ts'
import { redisInstalled } from '../../support/redis-server.ts'
import { TidemarkProcess } from '../../support/tidemark-process.ts'

interface Server {
  readonly url: string
  pause(): void
  resume(): void
  kill(): Promise<void>
  /** After `kill`: it begins empty. */
  start(): Promise<void>
  close(): Promise<void>
}

async function redis(): Promise<Server> {
  const server = await RedisProcess.start()
  return {
    url: `valkey://127.0.0.1:${server.port}`,
    pause: () => server.pause(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    start: () => server.restart(),
    close: () => server.close(),
  }
}

async function tidemark(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-shared-'))
  const server = await TidemarkProcess.start({ name: 'tier', folder, args: ['--tier-memory', '32mb'] })
  return {
    url: `tidemark://127.0.0.1:${server.port}`,
    pause: () => server.pause(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    start: () => server.start(),
    close: async () => {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Counts, and says when it is asked by two at once. */
class CountingSource {
  value = 1
  takesMs = 0
  fails = false
  loads = 0
  most = 0
  #underWay = 0

  readonly load = async (ids: readonly string[]): Promise<Map<string, number>> => {
    this.loads++
    this.most = Math.max(this.most, ++this.#underWay)
    const { value } = this
    try {
      await wait(this.takesMs)
      if (this.fails) throw new Error('the source is down')
      return new Map(ids.map(id => [id, value]))
    } finally {
      this.#underWay--
    }
  }
}

/** Far more than memory takes, and far less than any wait for a server. */
const AT_ONCE_MS = 200

class Scene {
  readonly server: Server
  readonly source = new CountingSource()
  readonly caches: readonly Keyspace<number>[]
  readonly errors: unknown[] = []

  constructor(t: TestContext, server: Server, options: Omit<KeyspaceOptions<number>, 'source'>) {
    this.server = server
    const tides = Array.from({ length: 3 }, () => new Tidemark({ tier: server.url }))
    t.after(async () => {
      server.resume()
      await Promise.all(tides.map(tide => tide.close()))
      await server.close()
    })
    for (const tide of tides) tide.on('error', ({ error }) => this.errors.push(error))
    this.caches = tides.map(tide => tide.keyspace<number>('k', { source: this.source, ...options }))
  }

  /** The key is in the memory of all. */
  async warm(): Promise<void> {
    await this.until('all hold it near', async () => {
      for (const cache of this.caches) await cache.get('1')
      return this.caches.every(cache => cache.peek('1') !== undefined)
    })
    this.source.loads = 0
  }

  /** What all are answered, and after how long the last of them was. */
  async all(): Promise<{ readonly values: readonly (number | undefined)[]; readonly tookMs: number }> {
    const beganMs = performance.now()
    const values = await Promise.all(this.caches.map(cache => cache.get('1')))
    return { values, tookMs: performance.now() - beganMs }
  }

  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let i = 0; i < 1_000; i++) {
      if (await holds()) return
      await wait(10)
    }
    assert.fail(`never: ${what}`)
  }
}

async function slowLoads(t: TestContext, server: Server): Promise<void> {
  const s = new Scene(t, server, { ttl: '1m', load: { timeout: '20s' } })
  s.source.takesMs = 3_500
  const calls = Array.from({ length: 300 }, (_, i) => s.caches[i % 3]!.get('1'))
  assert.deepEqual(new Set(await Promise.all(calls)), new Set([1]))
  assert.equal(s.source.loads, 1)
}

async function refreshesAhead(t: TestContext, server: Server): Promise<void> {
  const s = new Scene(t, server, { ttl: '800ms', refreshAhead: true })
  s.source.takesMs = 40
  await s.warm()
  const readFor = async (ms: number): Promise<void> => {
    const endMs = performance.now() + ms
    while (performance.now() < endMs) {
      for (let i = 0; i < 10; i++) for (const cache of s.caches) assert.notEqual(await cache.get('1'), undefined)
      await wait(4)
    }
  }
  await readFor(3_000)
  assert.equal(s.source.most, 1)
  assert.ok(s.source.loads >= 3 && s.source.loads <= 9, `${s.source.loads} loads in four times of a value`)
  const before = s.source.loads
  server.pause()
  await readFor(1_500)
  assert.ok(s.source.loads > before, 'each loads by itself')
  server.resume()
  // They have learnt that loads take long, and unlearn it.
  await readFor(4_000)
  s.source.most = 0
  const again = s.source.loads
  await readFor(2_400)
  assert.equal(s.source.most, 1, 'one again')
  assert.ok(s.source.loads > again && s.source.loads <= again + 9, `${s.source.loads - again} loads once it is back`)
}

async function answersOldValues(t: TestContext, server: Server): Promise<void> {
  const s = new Scene(t, server, { ttl: '3s', swr: '1m', load: { timeout: '20s' } })
  await s.warm()
  await wait(3_000)
  s.source.takesMs = 2_500
  s.source.value = 2
  // Longer than a lease: whoever loads holds it.
  for (let i = 0; i < 20; i++) {
    const { values, tookMs } = await s.all()
    assert.ok(tookMs < AT_ONCE_MS, `${tookMs} ms`)
    if (!values.includes(2)) assert.deepEqual(values, [1, 1, 1])
    await wait(100)
  }
  assert.equal(s.source.loads, 1)
  await s.until('all have the new one', async () => (await s.all()).values.every(value => value === 2))
  s.source.takesMs = 0
  s.source.value = 3
  await wait(3_050)
  server.pause()
  for (let i = 0; i < 3; i++) {
    const { values, tookMs } = await s.all()
    assert.ok(tookMs < AT_ONCE_MS, `${tookMs} ms while the server does not answer`)
    assert.ok(values.every(value => value === 2 || value === 3))
  }
  await s.until('it is loaded without the server', () => s.source.loads >= 2)
  // Once it is noticed that nothing is heard any more, what is near may be outdated: the source is asked, after one wait.
  await wait(800)
  const { values, tookMs } = await s.all()
  assert.deepEqual(values, [3, 3, 3])
  assert.ok(tookMs < 1_000 + AT_ONCE_MS, `${tookMs} ms`)
  server.resume()
  s.source.value = 4
  await s.until('all have what is loaded then', async () => (await s.all()).values.every(value => value === 4))
}

async function answersInsteadOfErrors(t: TestContext, server: Server): Promise<void> {
  const s = new Scene(t, server, { ttl: '200ms', staleIfError: '1m' })
  await s.warm()
  await wait(250)
  s.source.fails = true
  assert.deepEqual((await s.all()).values, [1, 1, 1])
  server.pause()
  // Each asks the server and the source, in vain; that takes a part of the time after which nothing is heard of the server.
  assert.deepEqual((await s.all()).values, [1, 1, 1])
  server.resume()
  assert.deepEqual((await s.all()).values, [1, 1, 1])
  await server.kill()
  // Whoever hears nothing of writes any more has nothing old to answer with.
  await s.until('it is noticed', () =>
    s.all().then(
      () => false,
      () => true,
    ),
  )
  await assert.rejects(s.all(), { message: 'the source is down' })
  assert.ok(s.errors.some(error => (error as Error).message === 'the source is down'))
  s.source.fails = false
  s.source.value = 2
  await s.until('the source is asked again', async () => (await s.all()).values.every(value => value === 2))
  await server.start()
  s.source.value = 3
  await s.until('and after the server is back', async () => (await s.all()).values.every(value => value === 3))
}

async function answersSoon(t: TestContext, server: Server): Promise<void> {
  const s = new Scene(t, server, { ttl: '200ms', staleIfError: '1m', load: { softTimeout: '50ms', timeout: '20s' } })
  await s.warm()
  for (const pauses of [false, true]) {
    await wait(300)
    s.source.takesMs = 1_500
    s.source.value++
    if (pauses) server.pause()
    const { values, tookMs } = await s.all()
    assert.ok(
      values.every(value => value === s.source.value - 1),
      `${values.join(' ')} before ${s.source.value}`,
    )
    assert.ok(tookMs < 50 + AT_ONCE_MS, `${tookMs} ms`)
    if (pauses) server.resume()
    s.source.takesMs = 0
    await wait(1_500)
    await s.until('all have the new one', async () => (await s.all()).values.every(value => value === s.source.value))
  }
}

const rules: Record<string, (t: TestContext, server: Server) => Promise<void>> = {
  'a load that takes longer than a lease is one load': slowLoads,
  'refreshAhead loads in one process, while the server stops in each, and then in one again': refreshesAhead,
  'swr answers at once, the server stopped or not, and one process loads behind': answersOldValues,
  'staleIfError answers what is near, and the server is gone meanwhile': answersInsteadOfErrors,
  'softTimeout answers what is near soon, the server stopped or not': answersSoon,
}

for (const [name, start] of Object.entries({
  'a server of the kind of Valkey': redis,
  'a Tidemark server': tidemark,
})) {
  void describe(
    `loading over ${name}`,
    { skip: start === redis && !redisInstalled() && 'redis-server is not installed' },
    () => {
      for (const [sentence, rule] of Object.entries(rules)) {
        void test(sentence, async t => rule(t, await start()))
      }
    },
  )
}
