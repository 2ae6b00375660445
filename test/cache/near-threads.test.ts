// StoreNear with several threads: one hears the tier's messages, others answer from the store without a lock and admit what
// they read a while ago. Whatever is answered was current at the instant that it is proved as of, or later.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import { addSample, type Sample } from '../../src/coherence/freshness.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import { Store } from '../../src/store/store.ts'
import { KEYS, LANES, Race, raceWords, type Seen, type Shared, VERSIONS_MAX } from './near-race.ts'

const THREADS = 2

async function seenBy(worker: Worker): Promise<Seen> {
  let seen: Seen | undefined
  worker.on('message', (message: Seen) => {
    seen = message
  })
  const [code] = (await once(worker, 'exit')) as [number]
  assert.equal(code, 0)
  return seen!
}

/** The thread that hears messages: some of them late, a few never. */
function drive(race: Race, seed: number, changes: number): void {
  const random = seededRandom(seed)
  const { near } = race
  for (let lane = 0; lane < LANES; lane++) near.initialise(lane, race.state(lane))
  let samples: readonly Sample[] = []
  for (let i = 0; i < changes; i++) {
    const key = random.below(KEYS.length)
    const lane = race.laneOf(KEYS[key]!)
    const takenAtMs = race.now()
    samples = addSample(samples, { takenAtMs, position: race.position(), epoch: 7n })
    const before = race.state(lane)
    const lsn = race.change(key)
    for (let spin = random.below(1_000); spin > 0; spin--) race.now()
    near.prove(samples)
    const dice = random.below(400)
    if (dice === 0) near.lost([lane])
    if (dice < 3) near.initialise(lane, race.state(lane))
    else {
      const event = { key: KEYS[key]!, xid: 9n, lsn, change: lsn }
      near.message(lane, { ...race.state(lane), prev: before.mark, events: [event], voids: [] })
    }
  }
}

void test('what threads answer from the store was current when it is proved to be', async t => {
  const seed = 4_711
  t.diagnostic(`seed ${seed}`)
  const store = Store.create({ memoryBytes: 4 << 20, threads: THREADS + 1, seed })
  const shared: Shared = { store: store.shared, table: LaneTable.create(LANES).shared, words: raceWords() }
  const race = new Race(shared, 0)
  const workers = Array.from({ length: THREADS }, (_, i) => {
    const workerData = { shared, thread: i + 1, seed }
    return new Worker(new URL('./near-worker.ts', import.meta.url), { workerData })
  })
  const seen = Promise.all(workers.map(seenBy))
  await Promise.all(workers.map(worker => once(worker, 'online')))
  drive(race, seed, VERSIONS_MAX)
  race.end()
  const total = { hits: 0, admitted: 0, refused: 0 }
  for (const { hits, admitted, refused, violation } of await seen) {
    assert.equal(violation, undefined)
    total.hits += hits
    total.admitted += admitted
    total.refused += refused
  }
  assert.ok(total.hits > 1_000 && total.admitted > 1_000 && total.refused > 10, JSON.stringify(total))
  t.diagnostic(JSON.stringify(total))
  store.check()
})
