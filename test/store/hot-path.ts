// Measures, for garbage.test.ts, how many bytes of heap each operation of the hot path leaves behind. Run with --expose-gc
// and a young generation large enough that nothing is collected while it counts. Prints JSON.
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { MiB } from './keyed-store.ts'

const KEYS = 1_000
const OPERATIONS = 1_000_000
const collect = globalThis.gc!

const store = Store.create({ memoryBytes: 16 * MiB, seed: 5 })
// As on the wire: all keys in one buffer, used by position.
const bytes = Buffer.concat(Array.from({ length: KEYS * 2 }, (_, i) => Buffer.from(`key:${i}`.padEnd(16))))
const out = Buffer.alloc(1_000)
const value = Buffer.alloc(1_000, 'v')
let sum = 0

function hit(i: number): void {
  const start = (i % KEYS) * 16
  const hash = store.hash(bytes, start, start + 16)
  if (store.find(bytes, start, start + 16, hash, 1) === RecordType.none) throw new Error('a miss')
  store.copyValue(out, i % 7)
  if (!store.confirm()) throw new Error('nobody else is here')
  sum += store.foundValueBytes
}

function miss(i: number): void {
  const start = (KEYS + (i % KEYS)) * 16
  const hash = store.hash(bytes, start, start + 16)
  if (store.find(bytes, start, start + 16, hash, 1) !== RecordType.none) throw new Error('a hit')
}

function put(i: number, valueBytes: number): void {
  const start = (i % KEYS) * 16
  const hash = store.hash(bytes, start, start + 16)
  if (store.set(bytes, start, start + 16, hash, RecordType.string, value, 0, valueBytes, 0, 1) !== 'stored') {
    throw new Error('no room')
  }
}

function bytesEach(operation: (i: number) => void): number {
  for (let i = 0; i < OPERATIONS / 5; i++) operation(i)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < OPERATIONS; i++) operation(i)
  return (process.memoryUsage().heapUsed - before) / OPERATIONS
}

for (let i = 0; i < KEYS; i++) put(i, 100)
const measured = {
  hit: bytesEach(hit),
  miss: bytesEach(miss),
  overwriteInPlace: bytesEach(i => put(i, 100)),
  overwriteMoved: bytesEach(i => put(i, 50 + (Math.floor(i / KEYS) % 20) * 20)),
}
store.check()
process.stdout.write(JSON.stringify({ ...measured, sum }))
