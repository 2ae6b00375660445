// The Lua library decides as the pure functions do: random operations on the plainest tier and on a real server have the
// same outcomes, lanes, records and messages, with positions all over 64 bits.
// Not for: the end of leases and of times to live (the tier contract).
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { keyHash, laneOf } from '../../src/coherence/lane.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import type { TierRecord } from '../../src/coherence/record.ts'
import { boundedSnapshot, type LoadStamp, type Stamp, type WriteStamp } from '../../src/coherence/stamp.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import type { SharedTier } from '../../src/tier/tier.ts'
import { laneTags } from '../../src/tier/valkey-lanes.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { RedisProcess } from '../support/redis-process.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { tierOptions } from './valkey-scene.ts'

const SEED = 20_261_123
const LANES = 2
const KEYS = ['a', 'b', 'c', 'd', 'key with\0 and {braces}', '\u00fc\u4e16'] as const
const OUTCOMES =
  'applied fenced filled gone granted held late leased mismatch newer no-lane other-epoch present refused reset stored uncertain voided'
const LONG_MS = 1_000_000
const MESSAGES_MS = 2_000

/** Small numbers that are made into a request against whatever is there. */
interface Step {
  readonly operation:
    | 'lease'
    | 'fill'
    | 'load'
    | 'renew'
    | 'hold'
    | 'put'
    | 'void'
    | 'begin'
    | 'putFenced'
    | 'apply'
    | 'chunk'
    | 'reset'
    | 'lose'
  readonly key: number
  readonly numbers: readonly number[]
  readonly payload: string | null
  /** Otherwise of another epoch, or from another mark than the lane's. */
  readonly fits: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  operation: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('lease' as const, 'fill' as const, 'load' as const) },
    { weight: 3, arbitrary: fc.constantFrom('renew' as const, 'renew' as const, 'hold' as const) },
    { weight: 5, arbitrary: fc.constantFrom('put' as const, 'apply' as const, 'chunk' as const) },
    { weight: 2, arbitrary: fc.constantFrom('begin' as const, 'putFenced' as const, 'void' as const) },
    { weight: 1, arbitrary: fc.constantFrom('reset' as const, 'lose' as const) },
  ),
  key: fc.nat({ max: KEYS.length - 1 }),
  numbers: fc.array(fc.nat({ max: 30 }), { minLength: 12, maxLength: 12 }),
  payload: fc.option(fc.string({ maxLength: 6 })),
  fits: fc.nat({ max: 9 }).map(n => n > 0),
})

/** What is added to all positions and transaction ids, so that they lie in one half, in the other, and across. */
const bases = [0n, 2n ** 32n - 15n, 2n ** 53n - 15n, 2n ** 63n - 15n, 2n ** 64n - 5_000n]

const laneOfKey = (key: string): number => laneOf(keyHash(key), LANES)

class Pair {
  readonly memory = new MemoryTier({ clock: new ManualClock(), lanes: LANES })
  readonly valkey: ValkeyTier
  readonly server: RedisProcess
  readonly base: bigint
  /** Outcomes that there were. */
  readonly seen: Set<string>
  #nonce = 1

  constructor(valkey: ValkeyTier, server: RedisProcess, base: bigint, seen: Set<string>) {
    this.seen = seen
    this.valkey = valkey
    this.server = server
    this.base = base
  }

  at(n: number): bigint {
    return this.base + BigInt(n)
  }

  /** A position around the mark of the key's lane: before it, at it, after it. */
  #near(step: Step, n: number): bigint {
    const at = (this.memory.lane(laneOfKey(KEYS[step.key]!))?.mark.lsn ?? this.base) + BigInt(n) - 12n
    return at < this.base ? this.base : at
  }

  async both<T>(what: string, call: (tier: SharedTier) => T | Promise<T>): Promise<void> {
    const expected = await call(this.memory)
    this.seen.add(typeof expected === 'string' ? expected : (expected as { readonly outcome: string }).outcome)
    assert.deepEqual(comparable(await call(this.valkey)), comparable(expected), what)
  }

  #epoch({ fits }: Step): bigint {
    return fits ? this.at(7) : this.at(8)
  }

  #write(step: Step): WriteStamp {
    const [, xid, at, upto] = step.numbers
    return {
      kind: 'write',
      xid: this.at(xid! % 4),
      at: this.#near(step, at!),
      epoch: this.#epoch(step),
      upto: this.at(upto!),
    }
  }

  #load(step: Step): LoadStamp {
    const [, , , , xmin, width, many, lsn, flush] = step.numbers
    const from = this.at(xmin! % 4)
    // Now and then more than a stamp holds.
    const running = Array.from({ length: many! < 18 ? many! % 5 : 17 }, (_, index) => from + BigInt(index * 2))
    const snapshot = boundedSnapshot(from, from + BigInt(width! % 12), running)
    return {
      kind: 'load',
      snapshot,
      flush: this.#near(step, flush!),
      lsn: this.#near(step, lsn!),
      epoch: this.#epoch(step),
      upto: this.at(30),
    }
  }

  /** Nothing, what is there, that but for one number, or anything else. */
  #than(step: Step): Stamp | undefined {
    const [, , , which, number] = step.numbers
    const { record } = this.memory.read([KEYS[step.key]!])[0]!
    if (which! < 10 || record?.type !== 'value') return which! % 2 === 0 ? this.#load(step) : undefined
    const { stamp } = record
    if (which! < 24) return stamp
    return number! % 2 === 0 ? { ...stamp, upto: stamp.upto + 1n } : this.#write(step)
  }

  async run(step: Step): Promise<void> {
    const key = KEYS[step.key]!
    const lane = laneOfKey(key)
    const token = this.at(step.numbers[0]! % 2)
    const payload = step.payload === null ? null : new Uint8Array(Buffer.from(step.payload))
    const what = JSON.stringify(step)
    switch (step.operation) {
      case 'lease':
        return this.both(what, tier => tier.lease(key, { token, epoch: this.#epoch(step), leaseMs: LONG_MS }))
      case 'fill':
        return this.both(what, tier => tier.fill(key, token, { payload, stamp: this.#load(step) }))
      case 'load':
        await this.both(what, tier => tier.lease(key, { token, epoch: this.#epoch(step), leaseMs: LONG_MS }))
        return this.both(what, tier => tier.fill(key, token, { payload, stamp: this.#load(step) }))
      case 'renew':
        return this.both(what, tier =>
          tier.renew(key, { token, epoch: this.#epoch(step), leaseMs: LONG_MS, than: this.#than(step) }),
        )
      case 'hold':
        return this.both(what, tier => tier.hold(key, token, step.numbers[1]! % 3 === 0 ? 0 : LONG_MS))
      case 'put':
        return this.both(what, tier => tier.put(key, { payload, stamp: this.#write(step) }))
      case 'putFenced':
        return this.both(what, tier => tier.putFenced(key, token, { payload, stamp: this.#write(step) }))
      case 'void':
        return this.both(what, tier => tier.voidKey(key))
      case 'begin':
        return this.both(what, tier => tier.begin(key, token, LONG_MS))
      case 'apply':
      case 'chunk':
        return await this.#apply(step, lane, what)
      case 'reset':
        return await this.#reset(step, lane, what)
      case 'lose':
        return await this.#lose(lane)
    }
  }

  async #apply(step: Step, lane: number, what: string): Promise<void> {
    const state = this.memory.lane(lane)
    const [, , , , ahead, many, ...numbers] = step.numbers
    const generation = state?.generation ?? { epoch: this.at(7), nonce: 0 }
    const prev = step.fits && state !== undefined ? state.mark : { lsn: this.at(3), sub: 0n }
    const keys = KEYS.filter(key => laneOfKey(key) === lane)
    const chunk = step.operation === 'chunk'
    const lsn = prev.lsn + BigInt(1 + (ahead! % 9))
    // Many at once, more than a lane remembers, are of one key: what becomes of the others is the question.
    const flood = many! > 25
    const events = Array.from({ length: flood ? 40 : many! % 4 }, (_, index) => ({
      key: keys[(flood ? numbers[0]! : numbers[index % 6]! + index) % keys.length]!,
      xid: this.at(chunk ? 2 : (numbers[index % 6]! + index) % 4),
      lsn: chunk ? lsn + 1n : prev.lsn + 1n + (BigInt(index) % (lsn - prev.lsn)),
      change: this.#near(step, numbers[(index + 1) % 6]!),
    }))
    const next = chunk ? { lsn: prev.lsn, sub: prev.sub + BigInt(1 + ahead!) } : { lsn, sub: 0n }
    await this.both(what, tier => tier.apply(lane, { generation, prev, next, events }))
  }

  async #reset(step: Step, lane: number, what: string): Promise<void> {
    const state = this.memory.lane(lane)
    const expected = step.fits ? state : { generation: { epoch: 1n, nonce: 1 }, mark: { lsn: 1n, sub: 0n } }
    const generation = { epoch: this.at(7), nonce: this.#nonce++ }
    await this.both(what, tier => tier.reset(lane, { expected, to: this.at(step.numbers[4]! % 12), generation }))
  }

  async #lose(lane: number): Promise<void> {
    this.memory.loseHeader(lane)
    await this.server.command('DEL', `tm:{${laneTags(LANES)[lane]}}:h`)
  }

  /** Lanes, and records but for the times on each tier's own clock. */
  async compare(what: string): Promise<void> {
    for (let lane = 0; lane < LANES; lane++) {
      assert.deepEqual(await this.valkey.lane(lane), this.memory.lane(lane), `lane ${lane} after ${what}`)
    }
    const [real, plain] = [await this.valkey.read(KEYS), this.memory.read(KEYS)]
    for (const [index, { lane, record }] of plain.entries()) {
      const found = real[index]!
      assert.deepEqual(
        { lane: found.lane, record: timeless(found.record) },
        { lane, record: timeless(record) },
        `${KEYS[index]} after ${what}`,
      )
    }
  }
}

/** A record but for the times on its tier's own clock. */
function timeless(record: TierRecord | undefined): unknown {
  if (record?.type !== 'value') return record === undefined ? undefined : { ...record, untilMs: 0 }
  const { renewal, ...value } = record
  const payload = value.payload === null ? null : Buffer.from(value.payload)
  return { ...value, payload, renewal: timeless(renewal) }
}

/** What an operation came to, with what a lease found. */
function comparable(result: unknown): unknown {
  if (typeof result !== 'object' || result === null || !('record' in result)) return result
  return { ...result, record: timeless(result.record as TierRecord | undefined) }
}

describe(
  'the Lua library against the pure functions',
  { skip: !redisInstalled() && 'redis-server is not installed' },
  () => {
    let server: RedisProcess
    let tier: ValkeyTier
    const heard: [number, LaneMessage][] = []

    before(async () => {
      server = await RedisProcess.start()
      tier = await ValkeyTier.connect(tierOptions([server.port], { lanes: LANES }))
      await tier.subscribe({
        message: (lane, message) => void heard.push([lane, message]),
        lost: () => assert.fail('nothing is lost here'),
      })
    })
    after(async () => {
      await tier.close()
      await server.close()
    })

    test('random operations have the same outcomes, lanes, records and messages', async () => {
      const seen = new Set<string>()
      const property = fc.asyncProperty(
        fc.constantFrom(...bases),
        fc.array(step, { maxLength: 80, size: 'max' }),
        async (base, steps) => {
          await server.command('FLUSHALL')
          heard.length = 0
          const told: [number, LaneMessage][] = []
          const pair = new Pair(tier, server, base, seen)
          pair.memory.subscribe({ message: (lane, message) => void told.push([lane, message]), lost: () => {} })
          for (const lane of [0, 1]) {
            const generation = { epoch: pair.at(7), nonce: 0 }
            await pair.both('the first reset', tier =>
              tier.reset(lane, { expected: undefined, to: pair.at(2), generation }),
            )
          }
          for (const step of steps) {
            await pair.run(step)
            await pair.compare(JSON.stringify(step))
          }
          for (let ms = 0; ms < MESSAGES_MS && heard.length < told.length; ms++) await wait(1)
          assert.deepEqual(heard, told)
        },
      )
      await fc.assert(property, { seed: SEED, numRuns: 120 })
      // Every outcome came up: this compares something.
      assert.equal([...seen].sort().join(' '), OUTCOMES)
    })
  },
)
