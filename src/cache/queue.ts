// A queue with an index: first in, first out, and each entry can be looked at. Taking one out does not move the others.
import { assert } from '../base/assert.ts'

const COMPACT_AT = 1024

export class Queue<T> {
  #entries: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#entries.length - this.#head
  }

  get first(): T | undefined {
    return this.at(0)
  }

  /** The entry at `index` from the first; undefined past the last. */
  at(index: number): T | undefined {
    return this.#entries[this.#head + index]
  }

  push(entry: T): void {
    this.#entries.push(entry)
  }

  shift(): T {
    const entry = this.#entries[this.#head]
    assert(entry !== undefined, 'a queue that is not empty gives its first entry')
    this.#entries[this.#head++] = undefined
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry
  }
}
