// Finds the numbers of rows in replies to GET and MGET as the bytes come, without making strings or objects of them: what makes
// it cheap enough to check tens of thousands of reads a second beside the servers under test.
// Not for: any other reply (RespClient), and what the numbers prove (history.ts).

export interface RowHandler {
  /** The next row, in the order asked for. */
  row(id: number, version: number, seal: number, writer: number): void
  /** The next row is not there. */
  absent(): void
  /** Instead of a whole reply. */
  error(text: string): void
  /** A reply, to GET or MGET, has ended. */
  replyEnd(): void
}

const [CR, COLON, MINUS, DIGIT_0, DIGIT_9, STAR, DOLLAR] = [13, 58, 45, 48, 57, 42, 36]

export class RowScanner {
  readonly #handler: RowHandler
  #rest: Buffer = Buffer.alloc(0)
  #bytes: Buffer = this.#rest
  #at = 0
  /** Elements of an MGET's reply that are still to come. */
  #left = 0

  constructor(handler: RowHandler) {
    this.#handler = handler
  }

  /** Throws for what no server of RESP2 sends as a reply to GET or MGET. */
  push(chunk: Buffer): void {
    this.#bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#at = 0
    while (this.#next());
    this.#rest = this.#bytes.subarray(this.#at)
  }

  /** Takes one line with what belongs to it; false: it is not all there yet. */
  #next(): boolean {
    const bytes = this.#bytes
    const begin = this.#at
    const lineEnd = bytes.indexOf(CR, begin)
    if (lineEnd < 0 || lineEnd + 1 >= bytes.length) return false
    const type = bytes[begin]!
    if (type === DOLLAR) return this.#bulk(begin, lineEnd)
    this.#at = lineEnd + 2
    if (type === STAR) {
      this.#left = numberAt(bytes, begin + 1)
      if (this.#left <= 0) this.#handler.replyEnd()
    } else {
      this.#handler.error(bytes.toString('latin1', begin, lineEnd))
      this.#ended()
    }
    return true
  }

  #bulk(begin: number, lineEnd: number): boolean {
    const bytes = this.#bytes
    if (bytes[begin + 1] === MINUS) {
      this.#at = lineEnd + 2
      this.#handler.absent()
    } else {
      const start = lineEnd + 2
      const end = start + numberAt(bytes, begin + 1)
      if (end + 2 > bytes.length) return false
      this.#at = end + 2
      this.#row(start)
    }
    this.#ended()
    return true
  }

  #ended(): void {
    if (this.#left > 0) this.#left--
    if (this.#left === 0) this.#handler.replyEnd()
  }

  /** {"id":1,"version":2,"seal":3,"writer":4, ... */
  #row(start: number): void {
    const bytes = this.#bytes
    const id = bytes.indexOf(COLON, start) + 1
    const version = bytes.indexOf(COLON, id) + 1
    const seal = bytes.indexOf(COLON, version) + 1
    const writer = bytes.indexOf(COLON, seal) + 1
    this.#handler.row(numberAt(bytes, id), numberAt(bytes, version), numberAt(bytes, seal), numberAt(bytes, writer))
  }
}

function numberAt(bytes: Buffer, start: number): number {
  let at = start
  const negative = bytes[at] === MINUS
  if (negative) at++
  let number = 0
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte < DIGIT_0 || byte > DIGIT_9) break
    number = number * 10 + (byte - DIGIT_0)
  }
  return negative ? -number : number
}
