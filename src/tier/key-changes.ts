// Counters of what happened to keys, by their hash: whoever is about to admit what it read some time ago sees whether
// anything has happened to the key since. Over memory that threads may share. Keys of one hash share a counter: that
// refuses an admission now and then, and never lets one in.
import { assert } from '../base/assert.ts'

export const KEY_CHANGE_COUNTERS = 4096

export class KeyChanges {
  readonly #counters: Int32Array

  /** `counters` has KEY_CHANGE_COUNTERS elements. */
  constructor(counters: Int32Array) {
    assert(counters.length === KEY_CHANGE_COUNTERS, 'there are as many counters as hashes are spread over')
    this.#counters = counters
  }

  /** Something happened to the keys with this hash (lane.ts, keyHash). */
  count(keyHash: number): void {
    Atomics.add(this.#counters, keyHash & (KEY_CHANGE_COUNTERS - 1), 1)
  }

  /** How often something has happened to them, modulo 2^32. */
  of(keyHash: number): number {
    return Atomics.load(this.#counters, keyHash & (KEY_CHANGE_COUNTERS - 1)) >>> 0
  }
}
