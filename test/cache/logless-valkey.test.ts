// Plain functions behind a real server: two processes' worth of readers and writers, and what a server that comes back from an
// old snapshot still knows. Not for: every rule (writer.test.ts, logless-tier.test.ts), and every fault (test/sim).
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Keyspaces } from '../../src/cache/keyspaces.ts'
import { LoglessTier } from '../../src/cache/logless-tier.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { Reader } from '../../src/cache/reader.ts'
import { Writer } from '../../src/cache/writer.ts'
import { FunctionsSource } from '../../src/source/functions-source.ts'
import type { Source } from '../../src/source/source.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { RedisProcess, until } from '../support/redis-process.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { tierOptions } from '../tier/valkey-scene.ts'

const skip = !redisInstalled() && 'redis-server is not installed'
const LANES = 4
const KEY = 'users:1'
const DESCRIPTION = { name: 'users', table: 'users', columns: [], keyColumns: [] }
const clock = systemClock()

class Process {
  readonly reader: Reader
  readonly writer: Writer
  readonly near: MapNear
  readonly #close: () => Promise<void>

  private constructor(reader: Reader, writer: Writer, near: MapNear, close: () => Promise<void>) {
    this.reader = reader
    this.writer = writer
    this.near = near
    this.#close = close
  }

  static async join(port: number, rows: Map<string, unknown>): Promise<Process> {
    const random = systemRandom()
    const shared = await ValkeyTier.connect(tierOptions([port], { lanes: LANES, random, prefix: 'tm-functions' }))
    const tier = await LoglessTier.open({ tier: shared, random, onMismatch: assert.fail })
    const near = new MapNear({ lanes: LANES, clock, entriesMax: 100 })
    const source = new FunctionsSource({
      name: 'users',
      functions: {
        load: ids => ids.filter(id => rows.has(id)).map(id => [id, rows.get(id)] as const),
        store: entries => {
          for (const [id, row] of entries) rows.set(id, row)
        },
      },
      clock,
    }) as Source<unknown> as Source
    const proofs = { known: () => undefined, samples: () => [] }
    const keyspace = { description: DESCRIPTION, backing: { source, tier, near, proofs }, whenStale: 'source' } as const
    const keyspaces = new Keyspaces([{ ...keyspace, maxStalenessMs: Infinity }], clock, () => {})
    const subscription = await NearSubscription.open({ tier, near, clock })
    return new Process(new Reader(keyspaces, clock, random), new Writer(keyspaces, clock, random), near, async () => {
      await subscription.close()
      await tier.close()
    })
  }

  async read(): Promise<readonly [text: string, tier: string]> {
    const { value, tier } = await this.reader.read(KEY)
    return [Buffer.from(value ?? []).toString(), tier]
  }

  async set(text: string): Promise<void> {
    await this.writer.write([{ key: KEY, operation: { kind: 'replace', row: Buffer.from(text) } }])
  }

  close(): Promise<void> {
    return this.#close()
  }
}

describe('functions behind a Valkey that processes share', { skip }, () => {
  let server: RedisProcess
  let rows: Map<string, unknown>
  let one: Process
  let two: Process

  before(async () => {
    server = await RedisProcess.start()
    rows = new Map()
    one = await Process.join(server.port, rows)
    two = await Process.join(server.port, rows)
  })
  after(async () => {
    await one.close()
    await two.close()
    await server.close()
  })
  beforeEach(() => rows.clear())

  test('what one of them wrote the other finds in the tier, and near, until it is written again', async () => {
    await one.set('a')
    assert.deepEqual(await two.read(), ['a', 'tier'])
    await until('it is near', async () => (await two.read())[1] === 'near')
    await one.set('b')
    await until('the message has come', () => two.near.find(KEY) === undefined)
    assert.deepEqual(await two.read(), ['b', 'tier'])
  })

  test('after FLUSHALL lanes are begun anew by whoever comes next', async () => {
    await one.set('a')
    await server.command('FLUSHALL')
    await one.set('b')
    assert.deepEqual(await one.read(), ['b', 'tier'])
    await until('the other has heard', async () => (await two.read())[0] === 'b')
  })

  test('a server that starts again from an old snapshot brings no old value back', async () => {
    await one.set('old')
    await server.command('SAVE')
    await one.set('new')
    await server.restart()
    await until('the tier is back', async () => {
      await two.read()
      return (await two.read())[1] !== 'source'
    })
    for (const process of [one, two]) assert.equal((await process.read())[0], 'new')
    await one.set('newer')
    await until('both have heard', async () => (await two.read())[0] === 'newer' && (await one.read())[0] === 'newer')
  })
})
