// Keyspaces whose calls are of a session: two services over one tier and one database, all of it simulated, where what one of
// them has near lags behind what it has seen or written.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { openRows } from '../../src/library/open-rows.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import type { Answer, CallOptions, Keyspace, KeyspaceOptions } from '../../src/index.ts'
import { postgres } from '../../src/postgres.ts'
import { SimProcess } from '../sim/machine.ts'
import { describeKeyspace, PLAIN, TRIGGERED } from '../sim/row.ts'
import { calm, elsewhere, within, type Scene } from '../sim/scene.ts'
import { SimFeed } from '../sim/sim-feed.ts'
import { SimSource } from '../sim/sim-source.ts'
import { SimTier } from '../sim/sim-tier.ts'

interface Row {
  readonly id: string
  readonly v: number
}

type Session = KeyspaceOptions<Row>['session']

/** A tier that loses rows that were written, on request. */
class LosingTier extends SimTier {
  loses = false

  override put(...put: Parameters<SimTier['put']>): ReturnType<SimTier['put']> {
    if (!this.loses) return super.put(...put)
    return Promise.reject(new TidemarkError('TIER_UNAVAILABLE', 'it was lost'))
  }
}

/** A process of its own with the library in it. */
class Service {
  readonly tide: Tidemark
  readonly rows: Keyspace<Row>
  readonly others: Keyspace<Row>
  readonly process: SimProcess
  readonly tier: LosingTier
  readonly #scene: Scene

  constructor(scene: Scene, name: string, sessionOf: (tide: Tidemark) => Session) {
    const { network, cluster, time } = scene.world
    const random = seededRandom(7)
    const process = new SimProcess(name, time, 5_000)
    const directory = { primary: () => scene.postgres, lanes: cluster.shape.lanes, layout: 'layout' }
    const newValue = (): number => scene.world.newValue()
    const rows = new SimSource({ process, network, directory, shape: calm.source, random, newValue })
    const { messages } = calm
    const count = (): void => {}
    const tier = new LosingTier({ process, network, cluster, random, timeoutMs: 300, messages, formats: 1, count })
    this.#scene = scene
    this.process = process
    this.tier = tier
    this.tide = new Tidemark(
      { maxStaleness: '5s', tide: false },
      {
        clock: process.clock,
        random,
        tier: { lanes: tier.lanes, open: () => Promise.resolve(tier) },
        openPostgres: parts =>
          openRows({
            ...parts,
            rows,
            descriptions: parts.keyspaces.map(each => describeKeyspace(each.name)),
            feed: () => new SimFeed({ process, network, directory, slot: 'none', timeoutMs: 300, random, confirmed: () => {} }), // prettier-ignore
            taken: () => new TidemarkError('FEED_TAKEN', 'another process reads the log'),
          }),
      },
    )
    const database = postgres('postgres://simulated/database')
    const session = sessionOf(this.tide)
    this.rows = this.tide.keyspace<Row>(PLAIN, { source: database.table(PLAIN), session })
    this.others = this.tide.keyspace<Row>(TRIGGERED, { source: database.table(TRIGGERED), session })
  }

  read(id = '1', options: CallOptions = {}, keyspace = this.rows): Promise<Answer<Row>> {
    return this.#scene.wait(keyspace.read(id, options))
  }

  /** As most ask: without options. */
  async get(id = '1', keyspace = this.rows): Promise<number | undefined> {
    return (await this.#scene.wait(keyspace.get(id)))?.v
  }

  async set(v: number, id = '1'): Promise<void> {
    await this.#scene.wait(this.rows.set(id, { id, v }))
  }

  /** The row is near, and found at once. */
  async holds(id = '1', keyspace = this.rows): Promise<void> {
    for (let times = 0; times < 50 && keyspace.peek(id) === undefined; times++) {
      await this.get(id, keyspace)
      await this.#scene.pass(20)
    }
    assert.notEqual(keyspace.peek(id), undefined, `${id} is near`)
  }
}

interface Play {
  readonly scene: Scene
  readonly a: Service
  readonly b: Service
}

/** The nodes of the scene are servers, one of which runs the tide. */
function play(name: string, sessionOf: (tide: Tidemark) => Session, body: (play: Play) => Promise<void>): void {
  void test(name, async () => {
    const config = { tides: 2, triggeredKeys: 1, maxStalenessMs: 5_000 }
    await within({ config, limits: { tierRetryMs: 5 } }, async scene => {
      await elsewhere(scene)
      const [a, b] = ['service-a', 'service-b'].map(each => new Service(scene, each, sessionOf)) as [Service, Service]
      await a.holds()
      await b.holds()
      await body({ scene, a, b })
    })
  })
}

/** Nothing of the tier comes to it: what it has near is what it was. */
function lags({ scene }: Play, service: Service): () => void {
  return scene.hold(scene.primary().process, service.process)
}

const own = (): Session => true
const none = (): Session => undefined

play('without a session near memory that lags may go back, within the bound', none, async given => {
  const { a, b } = given
  const before = await b.get()
  const release = lags(given, b)
  await a.set(1_000)
  assert.equal((await b.read('1', { maxStaleness: 0 })).value?.v, 1_000)
  assert.equal(await b.get(), before)
  assert.equal(b.rows.peek('1')?.v, before)
  release()
})

play('in a session of the keyspace a key does not go back to what is near, for get, read, getMany and peek', own, async given => {
  const { scene, a, b } = given
  const before = await b.get()
  const release = lags(given, b)
  await a.set(1_000)
  // Nobody has told it: that is no going back.
  assert.equal(await b.get(), before)
  assert.equal((await b.read('1', { maxStaleness: 0 })).value?.v, 1_000)
  assert.equal(b.rows.peek('1'), undefined)
  assert.equal(await b.get(), 1_000)
  assert.equal((await b.read('1')).value?.v, 1_000)
  assert.equal((await scene.wait(b.rows.getMany(['1']))).get('1')?.v, 1_000)
  release()
  await scene.pass(500)
  await b.holds()
  assert.equal(await b.get(), 1_000)
}) // prettier-ignore

play('a session of the keyspace sees its own writes though the tier was not told and has the row of before', own, async given => {
  const { scene, b } = given
  const before = await b.get()
  const tide = scene.holder()
  // The lane stands still where it is, and is proved as of then.
  const release = scene.hold(tide.process, scene.primary().process)
  b.tier.loses = true
  await b.set(2_000)
  assert.equal(b.rows.peek('1'), undefined)
  await scene.pass(20)
  const without = await b.read('1', { session: false })
  assert.deepEqual([without.value?.v, without.stale], [before, false])
  assert.equal(await b.get(), 2_000)
  assert.equal((await b.read('1')).tier, 'source')
  release()
  await scene.pass(1_000)
  await b.holds()
  assert.equal(await b.get(), 2_000)
}) // prettier-ignore

play('an update and a removal are own writes as well', own, async given => {
  const { scene, b } = given
  const release = scene.hold(scene.holder().process, scene.primary().process)
  b.tier.loses = true
  await scene.wait(b.rows.update('1', row => ({ id: '1', v: row!.v + 10_000 })))
  await scene.pass(20)
  assert.ok((await b.read('1', { session: false })).value!.v < 10_000)
  assert.ok((await b.get())! >= 10_000)
  assert.equal(await scene.wait(b.rows.delete('1')), true)
  await scene.pass(20)
  assert.notEqual((await b.read('1', { session: false })).value, undefined)
  assert.equal(await b.get(), undefined)
  release()
})

play('a call goes by its own session, or by none, instead of that of the keyspace', own, async given => {
  const { a, b } = given
  const before = await b.get()
  const release = lags(given, b)
  await a.set(1_000)
  await b.read('1', { maxStaleness: 0 })
  assert.equal((await b.read('1', { session: b.tide.session() })).value?.v, before)
  assert.equal((await b.read('1', { session: false })).value?.v, before)
  // These were not seen by the keyspace's.
  assert.equal(await b.get(), 1_000)
  release()
})

play('other keys are answered out of memory meanwhile, and what is seen goes on being', own, async given => {
  const { scene, b } = given
  await b.holds('2')
  // A row that there is not is held as well.
  assert.equal(await b.get('3'), undefined)
  await scene.pass(50)
  const { loads } = b.rows.stats()
  assert.equal(await b.get('3'), undefined)
  assert.equal(b.rows.stats().loads, loads)
  assert.equal((await b.read('3')).tier, 'near')
  await scene.sql('k:3')
  // The log goes on all the time, and is not carried to the lanes.
  const release = scene.hold(scene.holder().process, scene.primary().process)
  const before = b.rows.stats()
  for (let times = 0; times < 40; times++) {
    await scene.sql('k:3')
    await b.get('1')
    await b.get('2')
    if (times % 10 === 5) await b.read('1', { maxStaleness: 0 })
    await scene.pass(3)
  }
  const { hits, misses } = b.rows.stats()
  assert.equal(misses - before.misses, 4)
  assert.equal(hits - before.hits, 80)
  release()
})

const ofAll = (tide: Tidemark): Session => tide.session()

play('keyspaces that share a session are not behind one another', ofAll, async given => {
  const { scene, b } = given
  await b.holds('1', b.others)
  const release = lags(given, b)
  await scene.sql('k:1', 't:1')
  const seen = (await b.read('1', { maxStaleness: 0 })).value?.v
  assert.equal(b.others.peek('1'), undefined)
  const other = await b.get('1', b.others)
  assert.deepEqual([seen, other], [scene.world.truth.latest('k:1'), scene.world.truth.latest('t:1')])
  release()
})

play('the session of a keyspace says nothing of another one', own, async given => {
  const { scene, b } = given
  await b.holds('1', b.others)
  const before = await b.get('1', b.others)
  const release = lags(given, b)
  await scene.sql('k:1', 't:1')
  await b.read('1', { maxStaleness: 0 })
  assert.equal(await b.get('1', b.others), before)
  release()
})

play('a session goes on in another process by its ticket', none, async given => {
  const { a, b, scene } = given
  const before = await b.get()
  const release = lags(given, b)
  const session = a.tide.session()
  assert.equal(session.ticket(), '')
  await scene.wait(a.rows.set('1', { id: '1', v: 3_000 }, { session }))
  assert.equal(await b.get(), before)
  const there = b.tide.session(session.ticket())
  assert.equal((await b.read('1', { session: there })).value?.v, 3_000)
  // It has seen as much there, and says so; who has seen nothing may go on as before.
  assert.equal(there.ticket().length, session.ticket().length)
  assert.equal((await b.read('1', { session: b.tide.session(there.ticket()) })).value?.v, 3_000)
  assert.equal((await b.read('1', { session: b.tide.session('') })).value?.v, before)
  release()
})

play('what a session has seen of a database that began anew is asked of the database', none, async given => {
  const { b } = given
  await b.get()
  const of = (epoch: string): string => `${epoch}-${'1'.padStart(16, '0')}`
  const session = b.tide.session(of('1234567890abcdef'))
  assert.equal((await b.read('1', { session })).tier, 'source')
  // What it had is still said: it may be of another database.
  const parts = session.ticket().split('.')
  assert.equal(parts.length, 2)
  assert.equal(parts[0], of('1234567890abcdef'))
})

play('a session that has seen many databases takes along that it has', none, async given => {
  const { b } = given
  const of = (i: number): string => `${i.toString(16).padStart(16, '0')}-${'1'.padStart(16, '0')}`
  const sixteen = Array.from({ length: 16 }, (_, i) => of(i + 1)).join('.')
  const session = b.tide.session(sixteen)
  assert.equal(session.ticket(), sixteen)
  await b.read('1', { session })
  const parts = session.ticket().split('.')
  assert.equal(parts.length, 16)
  assert.equal(parts.at(-1), of(0).replace('1', '0'))
  assert.equal((await b.read('1', { session: b.tide.session(of(0).replace('1', '0')) })).tier, 'source')
})

play('what is no ticket is refused, and told', none, async ({ b }) => {
  const good = '0000000000000001-0000000000000002'
  const bad = [
    'x',
    `${good}.`,
    `${good}.x`,
    good.toUpperCase().replace('1', 'A'),
    Array.from({ length: 17 }, () => good).join('.'),
  ]
  for (const given of [...bad, null, 7, {}]) {
    assert.throws(
      () => b.tide.session(given as string),
      (error: TidemarkError) => error.code === 'OPTION_INVALID' && error.message.includes('ticket()'),
      JSON.stringify(given),
    )
  }
})
