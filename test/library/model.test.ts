// Random calls on a keyspace over functions that take their time, against what a plain map would say. What is checked: no
// answer is of another key; after a write that was acknowledged nobody gets what was there before; what was removed is not
// there; and in the end all agree.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../src/base/random.ts'
import { sleep } from '../../src/base/clock.ts'
import type { Keyspace } from '../../src/index.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { settle } from './scene.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const KEYS = ['a', 'b', '__proto__', ''] as const

/** Versions count up, so that an answer says how old it is. */
interface Value {
  readonly key: string
  readonly version: number
}

type Call = readonly [
  kind: 'get' | 'fresh' | 'getMany' | 'set' | 'delete' | 'update' | 'getOrSet' | 'invalidate' | 'clear' | 'expire',
  key: number,
  waitMs: number,
]

const call = fc.tuple(
  fc.constantFrom('get', 'get', 'get', 'fresh', 'getMany', 'set', 'set', 'delete', 'update', 'getOrSet', 'invalidate', 'clear', 'expire'), // prettier-ignore
  fc.nat(KEYS.length - 1),
  fc.constantFrom(0, 0, 1, 3, 7),
) as fc.Arbitrary<Call>

class World {
  readonly clock = new ManualClock()
  readonly rows = new Map<string, Value>()
  readonly tide: Tidemark
  readonly keyspace: Keyspace<Value>
  readonly #delays: readonly number[]
  readonly #failing: boolean
  #calls = 0
  /** By key: the version of the last write that was acknowledged before any write that is under way. */
  readonly acknowledged = new Map<string, number>()
  readonly #writing = new Map<string, Promise<unknown>>()
  #version = 0

  constructor(delays: readonly number[], failing: boolean) {
    this.#delays = delays
    this.#failing = failing
    this.tide = new Tidemark({}, { clock: this.clock, random: seededRandom(1) })
    const late = async <T>(work: () => T): Promise<T> => {
      await this.#wait()
      const result = work()
      await this.#wait()
      return result
    }
    this.keyspace = this.tide.keyspace<Value>('k', {
      ttl: '50ms',
      source: {
        load: ids => late(() => new Map(ids.flatMap(id => (this.rows.has(id) ? [[id, this.rows.get(id)!]] : [])))),
        store: entries =>
          late(() => {
            for (const [id, value] of entries) this.rows.set(id, value)
          }),
        remove: ids => late(() => ids.forEach(id => this.rows.delete(id))),
      },
    })
  }

  async #wait(): Promise<void> {
    const at = this.#calls++
    const ms = this.#delays[at % this.#delays.length]!
    if (ms > 0) await sleep(this.clock, ms)
    if (this.#failing && at % 11 === 10) throw new Error('down')
  }

  nextVersion(): number {
    return ++this.#version
  }

  /** Writes of one key come one after another, so that it is known which one is the last. */
  write(key: string, work: (version: number) => Promise<unknown>): Promise<void> {
    const before = this.#writing.get(key) ?? Promise.resolve()
    const own = before.then(async () => {
      const version = this.nextVersion()
      await work(version)
      this.acknowledged.set(key, version)
    })
    // Of one that failed it is not known what it left behind: the next ones say.
    const settled = own.catch(() => {})
    this.#writing.set(key, settled)
    return settled
  }

  /** What is under way takes its time. */
  async run(work: readonly Promise<unknown>[]): Promise<void> {
    const ended = { all: false }
    void Promise.allSettled(work).then(() => (ended.all = true))
    for (let step = 0; !ended.all; step++) {
      assert.ok(step < 10_000, 'everything ends')
      await settle()
      this.clock.advance(1)
    }
  }
}

/** A removal is a version too: nothing of before it may be seen after it. */
async function read(world: World, key: string, ask: () => Promise<Value | undefined>): Promise<void> {
  const least = world.acknowledged.get(key) ?? 0
  let value: Value | undefined
  try {
    value = await ask()
  } catch (error) {
    assert.equal((error as Error).message, 'down')
    return
  }
  if (value === undefined) return
  assert.equal(value.key, key, 'an answer is of the key that was asked for')
  assert.ok(value.version >= least, `${key}: got version ${value.version} after ${least} was acknowledged`)
}

function start(world: World, [kind, at]: Call): Promise<unknown> {
  const { keyspace } = world
  const key = KEYS[at]!
  switch (kind) {
    case 'get':
      return read(world, key, () => keyspace.get(key))
    case 'fresh':
      return read(world, key, () => keyspace.get(key, { maxStaleness: 0 }))
    case 'getMany':
      return Promise.all(
        KEYS.map(each => read(world, each, async () => (await keyspace.getMany([each, key])).get(each))),
      )
    case 'set':
      return world.write(key, version => keyspace.set(key, { key, version }))
    case 'update':
      return world.write(key, version => keyspace.update(key, () => ({ key, version })))
    case 'delete':
      return world.write(key, () => keyspace.delete(key))
    case 'getOrSet':
      return world.write(key, version =>
        keyspace
          .getOrSet(key, () => ({ key, version }))
          .then(got => {
            assert.equal(got.key, key)
            // It may have been there already, and then nothing was written.
            if (got.version !== version) throw new Error('nothing written')
          }),
      )
    case 'invalidate':
      return keyspace.invalidate(key)
    case 'clear':
      void keyspace.clear()
      return Promise.resolve()
    default:
      world.clock.advance(50)
      return Promise.resolve()
  }
}

async function hold(calls: readonly Call[], delays: readonly number[], failing: boolean): Promise<void> {
  const world = new World(delays, failing)
  const under: Promise<unknown>[] = []
  for (const each of calls) {
    under.push(start(world, each))
    for (let ms = 0; ms < each[2]; ms++) {
      await settle()
      world.clock.advance(1)
    }
  }
  await world.run(under)
  for (const { status, reason } of (await Promise.allSettled(under)) as { status: string; reason?: unknown }[]) {
    if (status === 'rejected') throw reason
  }
  // What may have been left in doubt is over; then memory and source agree, key by key.
  world.clock.advance(60_000)
  const asking = KEYS.map(async key => {
    for (let i = 0; ; i++) {
      try {
        const [first, second] = [await world.keyspace.get(key), await world.keyspace.get(key)]
        assert.deepEqual(first, world.rows.get(key))
        assert.deepEqual(second, first)
        return
      } catch (error) {
        if (!failing || (error as Error).message !== 'down' || i > 20) throw error
      }
    }
  })
  await world.run(asking)
  await Promise.all(asking)
  await world.tide.close()
}

const delays = fc.array(fc.constantFrom(0, 0, 1, 2, 5, 9), { minLength: 1, maxLength: 7 })

void test('a keyspace over functions that take their time says what a map would', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 40 }), delays, (calls, waits) =>
      hold(calls, waits, false),
    ),
    { numRuns: 300 },
  )
})

void test('and so it does when some of the functions fail', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 40 }), delays, (calls, waits) =>
      hold(calls, waits, true),
    ),
    { numRuns: 300 },
  )
})
