// The object cache against a model: plain maps of what was written and is alive. What the pool says it evicted leaves the
// model too, so that every read has one right answer, and every invariant is checked after every step.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ObjectCache } from '../../src/near/object-cache.ts'
import type { ObjectSpace } from '../../src/near/object-space.ts'
import { ManualClock } from '../../src/testing/clock.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const LANES = 3
const TAGS = 3

interface Life {
  readonly value: unknown
  readonly expiresAtMs: number
  readonly lane: number
  readonly tags: readonly { alive: boolean }[]
  dropped: boolean
}

const space = fc.nat(1)
const key = fc.integer({ min: 0, max: 30 }).map(String)
const lane = fc.nat(LANES - 1)
const tag = fc.nat(TAGS - 1)
/** Around where the slots' own small integers end, in ms. */
const weeks = fc.constantFrom(2 ** 30 - 3, 2 ** 30 + 3, 2 ** 31 - 3, 2 ** 31 + 3, 2 ** 32)
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('set' as const),
      space,
      key,
      lane,
      ttlMs: fc.option(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 20 }) }, weeks)),
      tags: fc.array(tag, { maxLength: 2 }),
      bytes: fc.integer({ min: 0, max: 120 }),
      value: fc.oneof(fc.integer(), fc.double(), fc.constant(null), fc.constant(false), fc.string()),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('get' as const, 'find' as const), space, key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('getProved' as const),
      space,
      key,
      boundMs: fc.integer({ min: -1, max: 20 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), space, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: weeks }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('prove' as const), lane }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('dropLane' as const), lane }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('killTag' as const), tag }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), space }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const), slots: fc.nat(40) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
type Of<K extends Step['kind']> = Extract<Step, { kind: K }>

class Scene {
  readonly clock = new ManualClock()
  readonly pool: ObjectCache<unknown>
  readonly spaces: readonly ObjectSpace<unknown>[]
  readonly model: readonly Map<string, Life>[] = [new Map(), new Map()]
  readonly tags = Array.from({ length: TAGS }, () => ({ alive: true }))
  readonly maxBytes: number | undefined

  constructor(maxEntries: number, maxBytes: number | undefined) {
    this.maxBytes = maxBytes
    this.pool = new ObjectCache<unknown>({
      clock: this.clock,
      maxEntries,
      maxBytes,
      lanes: LANES,
      onEvict: (space, key, value, reason) => {
        const model = this.model[this.spaces.indexOf(space)]!
        const life = model.get(key)
        assert.ok(life !== undefined && Object.is(life.value, value), `${key} was there to be evicted`)
        const why = this.isExpired(life) ? 'expired' : this.isDead(life) ? 'dead' : 'room'
        assert.equal(reason, why)
        model.delete(key)
      },
    })
    this.spaces = [this.pool.space('a'), this.pool.space('b')]
  }

  isExpired({ expiresAtMs }: Life): boolean {
    return expiresAtMs <= this.clock.monotonicMs()
  }

  isDead({ dropped, tags }: Life): boolean {
    return dropped || tags.some(tag => !tag.alive)
  }

  alive(space: number, key: string): Life | undefined {
    const life = this.model[space]!.get(key)
    return life === undefined || this.isExpired(life) || this.isDead(life) ? undefined : life
  }

  run(step: Step): void {
    switch (step.kind) {
      case 'set':
        return this.set(step)
      case 'get':
        return assert.equal(this.spaces[step.space]!.get(step.key), this.alive(step.space, step.key)?.value)
      case 'find':
        return this.find(step)
      case 'getProved':
        return this.getProved(step)
      case 'delete':
        assert.equal(this.spaces[step.space]!.delete(step.key), this.alive(step.space, step.key) !== undefined)
        this.model[step.space]!.delete(step.key)
        return
      case 'advance':
        return this.clock.advance(step.ms)
      case 'prove':
        this.pool.asOfMs[step.lane] = this.clock.monotonicMs()
        return
      case 'dropLane':
        this.pool.dropLane(step.lane)
        for (const lives of this.model)
          for (const life of lives.values()) if (life.lane === step.lane) life.dropped = true
        return
      case 'killTag':
        this.tags[step.tag]!.alive = false
        this.tags[step.tag] = { alive: true }
        return
      case 'clear':
        this.spaces[step.space]!.clear()
        return this.model[step.space]!.clear()
      case 'sweep':
        return void this.pool.sweep(step.slots)
    }
  }

  set({ space, key, value, lane, ttlMs, tags, bytes }: Of<'set'>): void {
    const expiresAtMs = ttlMs === null ? Infinity : this.clock.monotonicMs() + ttlMs
    const marks = tags.map(tag => this.tags[tag]!)
    const options = { lane, bytes, expiresAtMs, stamp: { key }, ...(marks.length === 0 ? {} : { tags: marks }) }
    const taken = this.spaces[space]!.set(key, value, options)
    assert.equal(taken, this.maxBytes === undefined || bytes <= this.maxBytes)
    if (taken) this.model[space]!.set(key, { value, expiresAtMs, lane, tags: marks, dropped: false })
    else this.model[space]!.delete(key)
  }

  find({ space, key }: { space: number; key: string }): void {
    const slot = this.spaces[space]!.find(key)
    const life = this.alive(space, key)
    assert.equal(slot >= 0, life !== undefined)
    if (life === undefined) return
    assert.equal(this.pool.value(slot), life.value)
    assert.equal(this.pool.lane(slot), life.lane)
    assert.equal(this.pool.expiresAtMs(slot), life.expiresAtMs)
    assert.deepEqual(this.pool.stamp(slot), { key })
  }

  getProved({ space, key, boundMs }: Of<'getProved'>): void {
    const nowMs = this.clock.monotonicMs()
    const life = this.alive(space, key)
    const proved = life !== undefined && nowMs - this.pool.asOfMs[life.lane]! <= boundMs
    assert.equal(this.spaces[space]!.getProved(key, nowMs, boundMs), proved ? life.value : undefined)
  }

  check(): void {
    this.pool.check()
    for (const [at, space] of this.spaces.entries()) {
      const living = [...this.model[at]!].filter(([key]) => this.alive(at, key) !== undefined)
      const expected = living.map(([key, { value }]) => [key, value])
      assert.deepEqual(new Map(space.entries()), new Map(expected as [string, unknown][]))
      assert.deepEqual(new Set(space.keys()), new Set(expected.map(([key]) => key)))
    }
  }
}

for (const [title, maxEntries, maxBytes] of [
  ['nothing ever leaves a pool with room for all', 1_000, undefined],
  ['a pool of few entries', 8, undefined],
  ['a pool of one entry', 1, undefined],
  ['a pool of few bytes', 1_000, 400],
  ['a pool bounded by both', 5, 250],
] as const) {
  test(`${title} answers as its model does`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), steps => {
        const scene = new Scene(maxEntries, maxBytes)
        for (const each of steps) {
          scene.run(each)
          scene.check()
        }
      }),
      { numRuns: 150 },
    )
  })
}
