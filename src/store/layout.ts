// The store's memory: where everything is in the one SharedArrayBuffer that all threads share, and who may touch it.
//
//   | superblock | shard table | segment table | index: buckets | ghosts | segments ...................... |
//     4 KiB        256 B each    32 B each       64 B each        16 B     segmentBytes each
//                                                                 a bucket
//
// Places are counted in units of 8 bytes, so that 32 bits reach 32 GiB. Memory is seen through windows of 1 GiB (with an
// overlap as large as the largest record), because a typed array is fast only while its index stays a small integer:
// unit u is at index (u & WINDOW_MASK) * 8 of the bytes of window u >>> WINDOW_SHIFT.
//
// A bucket: 64 bytes, one cache line. A key's bucket follows from its hash; overflow buckets hang from it in a chain.
//
//   word 0        1           2, 3     4, 5     ...  14, 15
//       | version | overflow  | slot 0 | slot 1 | ... | slot 6 |      slot: | unit of the record | hash:30 | reads:2 |
//         odd: a    unit of                                                  0: free
//         writer    the next
//         is in it  bucket, 0
//
// A record: a header of 16 bytes, what its flags say, the key, the value; padded to 8 bytes.
//
//   word 0: | keyBytes:16 | type:4 | flags:12 |   1: valueBytes   2: version (WATCH)   3: hash
//   EXPIRES:  8 bytes, a double: wall clock in ms
//   COHERENT: | lane:16 | keyspace:16 |   generation   stampBytes   0      then the stamp, padded to 8 bytes
//
// Which lock guards what:
//   - shard lock: its buckets (readers need no lock: they look at the bucket's version before and after), its queues, the
//     segments it owns, its counters;
//   - pool lock: the list of free segments, and the owner word of a free segment; taken last, and nothing is taken under it;
//   - all shard locks, in ascending order: making room for a run of adjacent segments, check();
//   - no lock: the two bits of a slot that count reads (compare and set; losing one is harmless).
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'

export const UNIT_BYTES = 8
export const WINDOW_SHIFT = 27
export const WINDOW_MASK: number = (1 << WINDOW_SHIFT) - 1
export const WINDOW_BYTES: number = 2 ** WINDOW_SHIFT * UNIT_BYTES

/** What a record is. Strings, hashes and rows are what clients see; the others are the protocol's own. */
export const RecordType = {
  none: 0,
  string: 1,
  hash: 2,
  row: 3,
  absentRow: 4,
  lease: 5,
  fence: 6,
  renewed: 7,
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

export const Superblock = {
  magic: 0,
  layoutVersion: 1,
  poolLock: 2,
  poolWaiters: 3,
  poolHead: 4,
  poolCount: 5,
  seed: 6,
  wipes: 7,
} as const
export const SUPERBLOCK_BYTES = 4096
export const MAGIC = 0x54494445 // 'TIDE'
export const LAYOUT_VERSION = 1

export const Shard = {
  lock: 0,
  waiters: 1,
  version: 2,
  /** Each queue: oldest element, newest element, segments in it, segment being written (segment number + 1; 0: none). */
  small: 4,
  main: 8,
  /** Chain of unused overflow buckets, by unit. */
  overflowFree: 12,
  /** A segment kept back for the survivors of the next reclaim (number + 1). */
  spare: 13,
  records: 14,
  visible: 15,
  sweepBucket: 16,
  /** How many of its buckets the shard uses; grows with what it holds. */
  buckets: 17,
  /** Doubles from here: see ShardTotals. */
  totals: 32,
} as const
export const SHARD_WORDS = 64
export const ShardTotals = { evicted: 0, expired: 1, liveUnits: 2, wiped: 3, moved: 4 } as const

export const Queue = { oldest: 0, newest: 1, segments: 2, active: 3 } as const

export const Segment = {
  state: 0,
  owner: 1,
  next: 2,
  previous: 3,
  usedUnits: 4,
  liveUnits: 5,
  runSegments: 6,
} as const
export const SEGMENT_WORDS = 8
export const SegmentState = {
  free: 0,
  /** Taken from the pool, not yet in a queue; the owner is a shard. */
  taken: 1,
  small: 2,
  main: 3,
  /** Holds overflow buckets. */
  index: 4,
  /** All but the first segment of a run. */
  run: 5,
  /** A run made for a thread that has not used it yet; the owner is -(thread + 1). */
  reserved: 6,
} as const

export const BUCKET_WORDS = 16
export const BUCKET_UNITS = 8
export const BUCKET_SLOTS = 7
export const GHOSTS_PER_BUCKET = 4
/** A shard's index begins with so many buckets (the split bit must be one of those that a slot keeps). */
export const BUCKETS_MIN = 16
/** Records a bucket, on average, past which another bucket is added. */
export const LOAD_MAX = 4.5

export const HEADER_BYTES = 16
export const FLAG_EXPIRES: number = 1 << 20
export const FLAG_COHERENT: number = 1 << 21
export const EXPIRY_BYTES = 8
export const COHERENT_BYTES = 16

export interface Geometry {
  readonly memoryBytes: number
  readonly shards: number
  readonly shardBits: number
  readonly bucketsPerShard: number
  readonly segments: number
  readonly segmentUnits: number
  readonly segmentShift: number
  /** Words, from the start of memory. */
  readonly shardTable: number
  readonly segmentTable: number
  /** Units, from the start of memory. */
  readonly index: number
  readonly ghosts: number
  readonly data: number
  readonly recordUnitsMax: number
}

const INDEX_SHARE = 0.12

function powerOfTwoAtMost(n: number): number {
  return 2 ** Math.floor(Math.log2(n))
}

function clamp(n: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, n))
}

/** Where everything goes, for a budget of `memoryBytes` (all of it, index included) and so many threads. */
export function geometryOf(memoryBytes: number, threads: number): Geometry {
  assert(memoryBytes >= limits.memoryBytesMin && memoryBytes <= limits.memoryBytesMax, 'memory is within its limits')
  const segmentBytes = clamp(powerOfTwoAtMost(memoryBytes / 1024), limits.segmentBytesMin, limits.segmentBytesMax)
  const roughSegments = Math.floor(memoryBytes / segmentBytes)
  const wanted = powerOfTwoAtMost(threads * 8 - 1)
  const shards = clamp(Math.min(wanted, powerOfTwoAtMost(roughSegments / 32)), 1, limits.shardsMax)
  const bucketsPerShard = Math.max(
    BUCKETS_MIN,
    Math.floor((memoryBytes * INDEX_SHARE) / (BUCKET_UNITS * UNIT_BYTES) / shards),
  )
  const shardTable = SUPERBLOCK_BYTES / 4
  const segmentTable = shardTable + shards * SHARD_WORDS
  const index = Math.ceil((segmentTable + roughSegments * SEGMENT_WORDS) / BUCKET_WORDS) * BUCKET_UNITS
  const ghosts = index + shards * bucketsPerShard * BUCKET_UNITS
  const ghostUnits = (shards * bucketsPerShard * GHOSTS_PER_BUCKET * 4) / UNIT_BYTES
  const data = Math.ceil((ghosts + ghostUnits) / 512) * 512
  const segments = Math.floor((memoryBytes / UNIT_BYTES - data) / (segmentBytes / UNIT_BYTES))
  assert(segments >= shards * 8, 'every shard has segments to work with')
  return {
    memoryBytes,
    shards,
    shardBits: Math.log2(shards),
    bucketsPerShard,
    segments,
    segmentUnits: segmentBytes / UNIT_BYTES,
    segmentShift: Math.log2(segmentBytes / UNIT_BYTES),
    shardTable,
    segmentTable,
    index,
    ghosts,
    data,
    recordUnitsMax: Math.floor(memoryBytes / limits.recordShareOfMemory / UNIT_BYTES),
  }
}
