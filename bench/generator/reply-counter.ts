// Counts whole replies in a stream of bytes cut anywhere, without keeping them: RESP2 and memcached's text protocol, as far
// as GET, SET, HGET, HSET and PING go. Not for what replies hold. An error reply throws: a load that is refused measures nothing.

export type Protocol = 'resp' | 'memcached'

const LINE_END = 0x0a
const SPACE = 0x20
const MINUS = 0x2d
const DOLLAR = 0x24
const LETTER = { E: 0x45, M: 0x4d, N: 0x4e, S: 0x53, T: 0x54, V: 0x56 } as const

export class ReplyCounter {
  /** GETs that found nothing. */
  misses = 0
  readonly #memcached: boolean
  /** Bytes of a value, its line end included, that have yet to pass. */
  #skip = 0
  // Of the line at hand: how many bytes were seen, the first two, and the number that its last word is.
  #seen = 0
  #first = 0
  #second = 0
  #number = 0
  #negative = false
  #hit = false

  constructor(protocol: Protocol) {
    this.#memcached = protocol === 'memcached'
  }

  /** How many replies end within `chunk`. */
  feed(chunk: Uint8Array): number {
    let replies = 0
    for (let at = 0; at < chunk.length;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at)
        at += step
        this.#skip -= step
        if (this.#skip === 0 && !this.#memcached) replies++
        continue
      }
      const byte = chunk[at++]!
      if (byte === LINE_END) {
        if (this.#endLine()) replies++
      } else this.#take(byte)
    }
    return replies
  }

  #take(byte: number): void {
    if (this.#seen === 0) this.#first = byte
    else if (this.#seen === 1) this.#second = byte
    this.#seen++
    if (byte === SPACE) {
      this.#number = 0
      this.#negative = false
    } else if (byte === MINUS) this.#negative = true
    else if (byte >= 0x30 && byte <= 0x39) this.#number = this.#number * 10 + byte - 0x30
  }

  // True when the reply is over with this line.
  #endLine(): boolean {
    const over = this.#memcached ? this.#endMemcachedLine() : this.#endRespLine()
    this.#seen = 0
    this.#number = 0
    this.#negative = false
    return over
  }

  #endRespLine(): boolean {
    if (this.#first === MINUS) throw new Error('the server answered with an error')
    if (this.#first !== DOLLAR) return true
    if (this.#negative) this.misses++
    else this.#skip = this.#number + 2
    return this.#negative
  }

  #endMemcachedLine(): boolean {
    const { E, M, N, S, T, V } = LETTER
    if (this.#first === V) {
      this.#hit = true
      this.#skip = this.#number + 2
      return false
    }
    if (this.#first === E && this.#second === N) {
      if (!this.#hit) this.misses++
      this.#hit = false
      return true
    }
    // STORED, and MN, the answer to what memcached has for a PING.
    if (this.#first === M || (this.#first === S && this.#second === T)) return true
    throw new Error('the server answered with an error')
  }
}
