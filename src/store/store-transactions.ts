// Transactions: several changes of one thread that others see all at once or not at all. All shards that they may touch are
// locked first, in ascending order; the locks that the changes take by themselves are then no-ops, and what they write stays
// closed to readers of other threads until the end (held-writes.ts). Outside of a transaction this costs a comparison with
// undefined where a lock is taken.
// Not for: undoing. A change that fails leaves what came before it, as in Redis.
import { assert, AssertionError } from '../base/assert.ts'
import { BUCKET_UNITS, HEADER_BYTES, WINDOW_SHIFT } from './layout.ts'
import { HeldWrites } from './held-writes.ts'
import { StoreWriter } from './store-writer.ts'

export class StoreTransactions extends StoreWriter {
  /** A record of more bytes, key and value, may need memory that only a transaction with all shards can make room for. */
  get inShardBytesMax(): number {
    return this.geometry.segmentUnits * 4 - HEADER_BYTES
  }

  /**
   * Runs `changes` with the shards of all `hashes` held, or all shards. It is synchronous, runs once, touches no other key,
   * and may use every operation of the store. A record larger than a segment is stored only with all shards.
   */
  transaction<T>(hashes: ArrayLike<number> | 'all', changes: () => T): T {
    assert(this.held === undefined, 'transactions do not nest')
    const { shards } = this.geometry
    const wanted = new Uint8Array(shards)
    if (hashes === 'all') wanted.fill(1)
    else for (let i = 0; i < hashes.length; i++) wanted[this.index.shardOf(hashes[i]!)] = 1
    for (let shard = 0; shard < shards; shard++) if (wanted[shard] === 1) this.lockShard(shard)
    this.held = wanted
    const writes = new HeldWrites(wanted, (words, at) => this.#shardOfHead(words, at))
    this.index.writes = writes
    try {
      return changes()
    } catch (error) {
      if (error instanceof AssertionError) this.#wipeHeld(wanted)
      throw error
    } finally {
      this.held = undefined
      this.index.writes = undefined
      for (const shard of writes.publish()) this.index.grow(shard)
      for (let shard = 0; shard < shards; shard++) if (wanted[shard] === 1) this.releaseShard(shard)
    }
  }

  /** Runs `changes` as one transaction with all shards held; in a transaction already, as a part of it. */
  exclusively<T>(changes: () => T): T {
    return this.held === undefined ? this.transaction('all', changes) : changes()
  }

  // What half a transaction left behind is not to be served to anyone.
  #wipeHeld(held: Uint8Array): void {
    for (let shard = 0; shard < held.length; shard++) if (held[shard] === 1) this.wipeBroken(shard)
  }

  #shardOfHead(words: Int32Array<SharedArrayBuffer>, at: number): number {
    const window = this.windowWords.indexOf(words)
    return Math.floor(
      (window * 2 ** WINDOW_SHIFT + (at >>> 1) - this.geometry.index) / BUCKET_UNITS / this.geometry.bucketsPerShard,
    )
  }
}
