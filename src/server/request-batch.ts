// The next requests of a pipeline, parsed before the first of them runs, so that the memory which they will read is asked for
// together: a look-up waits twice, for the key's bucket and for its record, and sixteen look-ups that are announced wait
// twice in all. It pays where there are so many keys that hardly anything is in the processor's caches, and is off elsewhere.
//
//   parse and hash 1..n  -->  buckets of 1..n, records of 1..n (store.warm)  -->  run 1, run 2 ... run n
//
// Not for: requests that are cut, malformed, or of many arguments, which the session parses by itself.
// Hot path: no allocation. What was parsed here and did not run is parsed again later.
import type { Store } from '../store/store.ts'
import { RequestParser } from '../wire/request-parser.ts'

const REQUESTS_MAX = 16
const ARGUMENTS_MAX = 16
/** A longer key is not announced: hashing it twice would cost more than it saves. */
const KEY_BYTES_MAX = 64
/** From so many keys on it pays: with a tenth of it, it costs more than it saves. */
const KEYS_MIN = 1_000_000

export class RequestBatch {
  active = false
  /** Request i of the batch is in parser i and ends at ends[i]. */
  readonly parsers: readonly RequestParser[]
  readonly ends: Int32Array = new Int32Array(REQUESTS_MAX)
  readonly #hashes = new Int32Array(REQUESTS_MAX)
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
    this.parsers = Array.from({ length: REQUESTS_MAX }, () => new RequestParser({ argumentsMax: ARGUMENTS_MAX }))
  }

  /** Looks whether there are many keys; called now and then. */
  look(): void {
    this.active = this.#store.size() >= KEYS_MIN
  }

  /** Parses what is whole of buffer[at, end), up to the batch's size, and announces its keys. Returns how many requests. */
  fill(buffer: Buffer, at: number, end: number): number {
    const { parsers, ends } = this
    let count = 0
    let keys = 0
    while (count < REQUESTS_MAX && at < end) {
      const parser = parsers[count]!
      parser.authenticated = true
      const next = parser.parse(buffer, at, end)
      if (next < 0) {
        parser.reset()
        break
      }
      at = next
      ends[count++] = next
      if (parser.argc < 2) continue
      const from = parser.start[1]!
      const to = parser.end[1]!
      if (to - from <= KEY_BYTES_MAX) this.#hashes[keys++] = this.#store.hash(parser.buffer, from, to)
    }
    if (keys > 1) this.#store.warm(this.#hashes, keys)
    return count
  }

  /** Lets go of a buffer that is not used for what comes next. */
  forget(): void {
    for (const parser of this.parsers) parser.reset()
  }
}
