// The keys that left the small queue lately, as fingerprints: S3-FIFO's ghost list. Buckets of four cells of 32 bits:
//
//    31      16 15           0
//   | fingerprint | when it left |
//
// A cell is forgotten once as many others have left as the list remembers. Rarely (of 100,000 keys, one in 4,000) a key is taken for another that
// left; all that follows is that it begins in the main queue.
// Not for: the keys themselves. What is remembered of a key takes about 4 bytes.

const CELLS = 4
/** A full list is so many ticks old: with that, half of the range of `when` tells old from new. */
const TICKS = 1024
const TICK_MASK = 0xffff
/** Keys are hashed by so many of their first and last characters. */
const HASHED_CHARACTERS = 32

/** A hash of a key, 32 bits, of its length and its first and last 32 characters. */
export function hashOfKey(key: string): number {
  const length = key.length
  let hash = length ^ 0x9e3779b9
  const head = length > 2 * HASHED_CHARACTERS ? HASHED_CHARACTERS : length
  for (let i = 0; i < head; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  for (let i = head === length ? length : length - HASHED_CHARACTERS; i < length; i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

export class Ghosts {
  #cells = new Int32Array(0)
  #remembered = 0
  #shift = 0
  #left = 0

  /** How many keys it remembers at most; 0 at first. */
  get capacity(): number {
    return this.#remembered
  }

  /** Remembers so many keys from now on, and forgets those of before. */
  resize(keys: number): void {
    this.#remembered = keys
    this.#cells = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(keys, CELLS))))
    this.#shift = Math.max(0, Math.ceil(Math.log2(keys / TICKS)))
    this.#left = 0
  }

  /** A key with this hash has left. */
  add(hash: number): void {
    const now = (this.#left++ >>> this.#shift) & TICK_MASK
    const cells = this.#cells
    const first = this.#bucketOf(hash)
    // The greatest of age and place, by arithmetic: which cell is the oldest is as likely as not, and no branch foresees it.
    let oldest = 0
    for (let i = 0; i < CELLS; i++) {
      const cell = cells[first + i]!
      const age = cell === 0 ? TICK_MASK + 1 : (now - cell) & TICK_MASK
      const over = oldest - (age * CELLS + i)
      oldest -= over & (over >> 31)
    }
    cells[first + (oldest & (CELLS - 1))] = fingerprintOf(hash) | now
  }

  /** Whether a key with this hash has left lately; it is forgotten with that. */
  take(hash: number): boolean {
    if (this.#remembered === 0) return false
    const fingerprint = fingerprintOf(hash)
    const now = this.#left >>> this.#shift
    const cells = this.#cells
    const first = this.#bucketOf(hash)
    for (let at = first; at < first + CELLS; at++) {
      const cell = cells[at]!
      if ((cell & ~TICK_MASK) !== fingerprint) continue
      if (((now - (cell & TICK_MASK)) & TICK_MASK) > this.#remembered >>> this.#shift) continue
      cells[at] = 0
      return true
    }
    return false
  }

  #bucketOf(hash: number): number {
    return hash & (this.#cells.length - CELLS)
  }
}

/** The upper half, where the bucket's bits are not; never 0, so that an empty cell is told from it. */
function fingerprintOf(hash: number): number {
  return (hash & ~TICK_MASK) === 0 ? 0x1_0000 : hash & ~TICK_MASK
}
