// The chains of buckets that a transaction has written: their versions stay odd, so that readers of other threads wait,
// until all of the transaction can be seen at once. Not for: locks (store-transactions.ts).

export class HeldWrites {
  /** 1 for each shard that the transaction holds. Others may be written on the way, to take memory from them. */
  readonly #held: Uint8Array
  readonly #shardOf: (words: Int32Array<SharedArrayBuffer>, at: number) => number
  readonly #words: Int32Array<SharedArrayBuffer>[] = []
  readonly #at: number[] = []
  readonly #growing: number[] = []
  /** Whether the chain that is being written was opened by an earlier write. */
  #wasOpen = false

  constructor(held: Uint8Array, shardOf: (words: Int32Array<SharedArrayBuffer>, at: number) => number) {
    this.#held = held
    this.#shardOf = shardOf
  }

  open(words: Int32Array<SharedArrayBuffer>, at: number): void {
    this.#wasOpen = (words[at]! & 1) !== 0
    if (!this.#wasOpen) Atomics.add(words, at, 1)
  }

  close(words: Int32Array<SharedArrayBuffer>, at: number): void {
    if (this.#wasOpen) return
    if (this.#held[this.#shardOf(words, at)] !== 1) {
      Atomics.add(words, at, 1)
      return
    }
    this.#words.push(words)
    this.#at.push(at)
  }

  /** The shard's index has a record more. It grows when nothing of it is closed. */
  growLater(shard: number): void {
    this.#growing.push(shard)
  }

  /** Lets readers see all of it. What a wipe has opened already stays so. Returns the shards to grow, once for each time. */
  publish(): readonly number[] {
    for (const [i, words] of this.#words.entries()) {
      if ((words[this.#at[i]!]! & 1) !== 0) Atomics.add(words, this.#at[i]!, 1)
    }
    return this.#growing
  }
}
