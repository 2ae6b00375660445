// A Tidemark server as the tier of others: the contract that all tiers pass, over a real connection; and what only this one
// has: messages across threads, reconnects, and refusing what no tide would ask for.
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { keyHash, laneOf } from '../../src/coherence/lane.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import type { RunningServer } from '../../src/server/supervisor.ts'
import { tierContract, type TierFixture } from '../../src/testing/tier-contract.ts'
import type { TierPart } from '../../src/tier/tidemark-protocol.ts'
import { TidemarkTier } from '../../src/tier/tidemark-tier.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from '../server/running.ts'
import { ServedScene } from '../server/served-scene.ts'

const LANES = 64
const generation = { epoch: 2n ** 63n + 1n, nonce: 4_000_000_000 }

function tierAt(port: number, lanes = LANES, password?: string, part: TierPart = 'rows'): TidemarkTier {
  const address = { host: '127.0.0.1', port, tls: false, ...(password === undefined ? {} : { password }) }
  return new TidemarkTier({ address, lanes, clock: systemClock(), part })
}

async function fixture(): Promise<TierFixture> {
  const served = await ServedScene.open({ tierMemoryBytes: 4 << 20 })
  const tier = tierAt(served.port)
  await tier.ready()
  return {
    tier,
    clock: served.scene.clock,
    // Pushes come before the reply to what is asked after them.
    settle: async () => void (await tier.lane(0)),
    close: async () => {
      await tier.close()
      await served[Symbol.asyncDispose]()
    },
  }
}

tierContract('TidemarkTier', fixture, ['checkpoint', 'moveToShard'])

/** What a listener hears, in its order. */
class Heard {
  readonly messages: [lane: number, message: LaneMessage][] = []
  lostLanes = 0
  #waiting: (() => void)[] = []

  message(lane: number, message: LaneMessage): void {
    this.messages.push([lane, message])
    this.#wake()
  }

  lost(lanes: readonly number[]): void {
    this.lostLanes += lanes.length
    this.#wake()
  }

  #wake(): void {
    for (const waiting of this.#waiting.splice(0)) waiting()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => this.#waiting.push(resolve))
  }
}

async function connected(t: TestContext, server: RunningServer): Promise<TidemarkTier> {
  const tier = tierAt(server.port)
  t.after(() => tier.close())
  await tier.ready()
  return tier
}

describe('a Tidemark server that is a tier', () => {
  test('tells listeners on all of its threads of every message, in the order of the lane', async t => {
    const server = await startTidemark(t, { tierMemoryBytes: 4 << 20, threads: 2 })
    const tiers: TidemarkTier[] = []
    const heard: Heard[] = []
    for (let i = 0; i < 6; i++) {
      const tier = await connected(t, server)
      tiers.push(tier)
      heard.push(new Heard())
      await tier.subscribe(heard[i]!)
    }
    await tiers[0]!.reset(5, { expected: undefined, to: 10n, generation })
    let mark = { lsn: 10n, sub: 0n }
    for (let i = 0; i < 50; i++) {
      const next = { lsn: mark.lsn + 1n, sub: 0n }
      const outcome = await tiers[i % 6]!.apply(5, { generation, prev: mark, next, events: [] })
      assert.equal(outcome.outcome, 'applied')
      mark = next
    }
    for (const each of heard) {
      await each.until(() => each.messages.length === 51)
      assert.deepEqual(
        each.messages.map(
          ([
            lane,
            {
              mark: { lsn },
            },
          ]) => [lane, lsn],
        ),
        Array.from({ length: 51 }, (_, i) => [5, 10n + BigInt(i)]),
      )
      assert.equal(each.lostLanes, 0)
    }
  })
  test('is not seen by those who use it for plain keys', async t => {
    const server = await startTidemark(t, { tierMemoryBytes: 4 << 20 })
    const tier = await connected(t, server)
    const lane = laneOf(keyHash('users:1'), LANES)
    await tier.reset(lane, { expected: undefined, to: 10n, generation })
    const stamp = { kind: 'write', xid: 5n, at: 11n, epoch: generation.epoch, upto: 12n } as const
    assert.equal(await tier.put('users:1', { payload: Buffer.from('{}'), stamp }), 'stored')
    const client = await RespClient.connect(server.port)
    assert.equal(await client.command('GET', 'users:1'), null)
    assert.equal(await client.command('DBSIZE'), 0)
    assert.equal(await client.command('SET', 'users:1', 'plain'), 'OK')
    assert.equal(await client.command('FLUSHALL'), 'OK')
    client.close()
    assert.equal((await tier.read(['users:1']))[0]?.record?.type, 'value')
  })
  test('has lanes for rows and others for values, each with messages of its own', async t => {
    const server = await startTidemark(t, { tierMemoryBytes: 4 << 20, threads: 2 })
    const rows = await connected(t, server)
    const values = tierAt(server.port, LANES, undefined, 'values')
    t.after(() => values.close())
    await values.ready()
    const [heardRows, heardValues] = [new Heard(), new Heard()]
    await rows.subscribe(heardRows)
    await values.subscribe(heardValues)
    await rows.reset(3, { expected: undefined, to: 10n, generation })
    assert.equal(await values.lane(3), undefined)
    await values.reset(3, { expected: undefined, to: 20n, generation: { epoch: 7n, nonce: 1 } })
    await heardRows.until(() => heardRows.messages.length === 1)
    await heardValues.until(() => heardValues.messages.length === 1)
    assert.equal((await rows.lane(3))?.mark.lsn, 10n)
    assert.equal((await values.lane(3))?.mark.lsn, 20n)
    // Whatever is under the key in the other part is not found.
    const key = Array.from({ length: 500 }, (_, i) => `k:${i}`).find(each => laneOf(keyHash(each), LANES) === 3)!
    const stamp = { kind: 'write', xid: 5n, at: 21n, epoch: 7n, upto: 22n } as const
    assert.equal(await values.put(key, { payload: Buffer.from('v'), stamp }), 'stored')
    assert.equal((await rows.read([key]))[0]?.record, undefined)
    assert.equal((await values.read([key]))[0]?.record?.type, 'value')
    assert.equal(heardRows.messages.length, 1)
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    assert.match(String(await client.command('TM.TIER', 'HELLO', '3', 'else')), /expects one of rows, values/)
  })
  test('says when it is none, or has another number of lanes, or another password', async t => {
    const none = await startTidemark(t)
    const other = await startTidemark(t, { tierMemoryBytes: 4 << 20, requirepass: 'secret' })
    const attempts: [TidemarkTier, RegExp][] = [
      [tierAt(none.port), /TIER_UNAVAILABLE this server is no tier of others: start it with --tier-memory/],
      [tierAt(other.port, 8, 'secret'), /the tier has 64 lanes, and 8 are set/],
      [tierAt(other.port, 64, 'wrong'), /WRONGPASS/],
    ]
    for (const [tier, error] of attempts) {
      await assert.rejects(tier.ready(), { message: error })
      await assert.rejects(tier.lane(0), { message: error })
      await tier.close()
    }
    const tier = tierAt(other.port, 64, 'secret')
    await tier.ready()
    await tier.close()
  })
  test('is connected to again, and its listeners are told that messages are lost, then and from when it was gone', async t => {
    const server = await startTidemark(t, { tierMemoryBytes: 4 << 20 })
    const tier = await connected(t, server)
    const heard = new Heard()
    await tier.subscribe(heard)
    const client = await RespClient.connect(server.port)
    await client.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await heard.until(() => heard.lostLanes === LANES)
    await heard.until(() => heard.lostLanes === 2 * LANES)
    await client.command('PING')
    client.close()
    await tier.reset(1, { expected: undefined, to: 10n, generation })
    await heard.until(() => heard.messages.length === 1)
    await server.stop()
    await assert.rejects(tier.lane(1), { code: 'TIER_UNAVAILABLE' })
  })
  test('refuses what no tide would ask for, and goes on', async t => {
    const server = await startTidemark(t, { tierMemoryBytes: 4 << 20 })
    const tier = await connected(t, server)
    await tier.reset(0, { expected: undefined, to: 10n, generation })
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    const ours = Array.from({ length: 500 }, (_, i) => `k:${i}`).find(key => laneOf(keyHash(key), LANES) === 0)!
    const theirs = Array.from({ length: 500 }, (_, i) => `k:${i}`).find(key => laneOf(keyHash(key), LANES) === 1)!
    const gen = `${generation.epoch} ${generation.nonce}`
    const apply = ['APPLY', '0', gen, '10 0']
    const bad: string[][] = [
      [...apply, '10 0'],
      [...apply, '9 0'],
      [...apply, '12 0', theirs, '1 11 11'],
      [...apply, '12 0', ours, '1 10 10'],
      [...apply, '12 0', ours, '1 13 13'],
      [...apply, '10 11', ours, '1 10 10'],
      [...apply, '10 11', ours, '1 11 11', ours, '2 11 11'],
      [...apply, '12 0', ours],
      [...apply, '12 0', ours, '1 11'],
      ['APPLY', '64', gen, '10 0', '12 0'],
      ['APPLY', '0', 'x', '10 0', '12 0'],
      ['RESET', '0', 'x', '12', gen],
      ['RESET', '0', '', '12', '1 4294967296'],
      ['LANE', '-1'],
      ['LEASE', ours, '18446744073709551616', '1', '1000'],
      ['LEASE', ours, '1', '1', '1e3'],
      ['RENEW', ours, '1', '1', '1e3'],
      ['RENEW', ours, '1', '1', '1000', 'no stamp'],
      ['HOLD', ours, '1', 'x'],
      ['FILL', ours, '1', '', 'no stamp', 'x'],
      ['PUT', ours, '', 'no stamp', 'x'],
      ['SUBSCRIBE'],
      ['HELLO', '1'],
      ['NONSENSE'],
    ]
    for (const args of bad) {
      const reply = await client.command('TM.TIER', ...args)
      assert.ok(reply instanceof Error, args.join(' '))
      assert.match(reply.message, /^(ERR|TIER_MISMATCH) /, args.join(' '))
    }
    assert.deepEqual((await tier.lane(0))?.mark, { lsn: 10n, sub: 0n })
    assert.equal(
      await client.command('TM.TIER', ...apply, '12 0', ours, '1 11 11').then(String),
      `applied,${gen} 1 12 0`,
    )
  })
})
