// Keyspaces in which each connection is a session (`session: 'connection'`), through a server thread's cache.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { Cache } from '../../src/cache/cache.ts'
import { SessionTickets } from '../../src/cache/session-tickets.ts'
import { Store } from '../../src/store/store.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import { LANES, settle, SharedScene } from './two-nodes.ts'

const KEY = 'users:1'

class Connection {
  readonly #cache: Cache
  readonly #tickets = new SessionTickets()

  constructor(cache: Cache) {
    this.#cache = cache
  }

  async read(key: string): Promise<string | null> {
    this.#cache.tickets = this.#tickets
    const [row] = await this.#cache.read([key])
    return row === undefined || row === null ? null : Buffer.from(row).toString()
  }

  async where(key: string, maxStalenessMs?: number): Promise<string> {
    this.#cache.tickets = this.#tickets
    const asked = this.#cache.ask(key, { maxStalenessMs })
    // Another connection's turn comes before the answer does.
    this.#cache.tickets = new SessionTickets()
    return (await asked).tier
  }

  async set(key: string, text: string): Promise<void> {
    this.#cache.tickets = this.#tickets
    await this.#cache.write([{ key, operation: { kind: 'replace', row: Buffer.from(text) } }])
  }
}

async function sceneOf(session: boolean): Promise<{ s: SharedScene; a: Connection; b: Connection }> {
  const s = await SharedScene.open({ session })
  s.database.set('1', 'old')
  s.database.set('2', 'two')
  await s.tick()
  const counters = { hits: 0, misses: 0, loads: 0, loadErrors: 0, writes: 0 }
  const cache = new Cache({
    store: Store.create({ memoryBytes: 4 << 20, threads: 1, seed: 5 }),
    table: LaneTable.create(LANES),
    keyspaces: [s.one.keyspace],
    counters: Object.fromEntries(Object.keys(counters).map(name => [name, new Float64Array(1)])) as never,
    clock: s.clock,
    random: seededRandom(1),
  })
  const connections = { s, a: new Connection(cache), b: new Connection(cache) }
  await connections.a.read(KEY)
  await settle()
  // What it has seen is past the lane until the marks have come by.
  assert.equal(await connections.b.where(KEY), 'near')
  await s.tick()
  assert.equal(await connections.a.where(KEY), 'near')
  return connections
}

await test('a connection that has seen a change is not answered by what is older, and others may be', async () => {
  const { s, a, b } = await sceneOf(true)
  s.database.set('1', 'new')
  assert.equal(await a.where(KEY, 0), 'source')
  assert.deepEqual([await a.read(KEY), await b.read(KEY)], ['new', 'old'])
  s.tide()
  assert.deepEqual([await a.read(KEY), await b.read(KEY)], ['new', 'new'])
})

await test('a connection that wrote is answered by the database until the lanes have come by', async () => {
  const { s, a, b } = await sceneOf(true)
  await a.set('users:2', 'mine')
  assert.deepEqual([await a.where(KEY), await b.where(KEY)], ['source', 'near'])
  await s.tick()
  assert.deepEqual([await a.where(KEY), await a.read('users:2')], ['near', 'mine'])
})

await test('without sessions a connection may be answered by what is older than what it has seen', async () => {
  const { s, a } = await sceneOf(false)
  s.database.set('1', 'new')
  assert.equal(await a.where(KEY, 0), 'source')
  assert.equal(await a.read(KEY), 'old')
})
