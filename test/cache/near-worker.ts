// One thread of near-threads.test.ts: answers from the store as a server's path of a hit does, and admits what it reads from
// the tier some time later. Runs in a worker and posts what it saw.
import { parentPort, workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import { KEYS, Race, type Seen, type Shared } from './near-race.ts'

const { shared, thread, seed } = workerData as { shared: Shared; thread: number; seed: number }
const race = new Race(shared, thread)
const random = seededRandom(seed + thread)
const { store, table, near } = race
const out = Buffer.alloc(16)
let hits = 0
let admitted = 0
let refused = 0
let violation: string | undefined

// As Cache.isServable and the handlers of GET do it.
function hit(key: number): boolean {
  const bytes = Buffer.from(KEYS[key]!)
  const hash = store.hash(bytes, 0, bytes.length)
  for (;;) {
    if (store.find(bytes, 0, bytes.length, hash, 1) !== RecordType.row) return false
    const asOf = table.asOf(store.foundLane)
    if (table.tag(store.foundLane) !== store.foundGeneration || asOf === -Infinity) return false
    const length = store.foundValueBytes
    store.copyValue(out, 0)
    if (!store.confirm()) continue
    hits++
    const version = Number(out.toString('latin1', 0, length))
    if (!race.wasCurrent(key, version, asOf)) violation ??= `${KEYS[key]}: ${version}, proved as of ${asOf}`
    return true
  }
}

function miss(key: number): void {
  const ticket = near.begin(KEYS[key]!)
  const { lane, record } = race.read(key)
  for (let spin = random.below(8_000); spin > 0; spin--) race.now()
  if (near.admit(KEYS[key]!, { ticket, lane, record })) admitted++
  else refused++
}

while (!race.over) {
  const key = random.below(KEYS.length)
  if (!hit(key) || random.below(8) === 0) miss(key)
  if (random.below(64) === 0) near.drop(KEYS[key]!)
}
parentPort!.postMessage({ hits, admitted, refused, violation } satisfies Seen)
