// What a reply of the Redis protocol is, once it is a JavaScript value. Not for the server's side, which writes bytes
// (reply-writer.ts) and makes no values.

/** An error reply. A value, not thrown: in a pipeline, and inside arrays, an error is one reply among others. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError'

  /** The error's first word, such as `ERR` or `WRONGTYPE`. */
  get code(): string {
    return this.message.split(' ', 1)[0]!
  }
}

/** A text for people, with its format (`txt` or `mkd`). Only in exact mode; otherwise it is a string like any other. */
export class VerbatimText {
  readonly format: string
  readonly bytes: Buffer

  constructor(format: string, bytes: Buffer) {
    this.format = format
    this.bytes = bytes
  }
}

/**
 * | on the wire       | as a value                                 | in exact mode  |
 * | ----------------- | ------------------------------------------ | -------------- |
 * | status            | string                                     |                |
 * | error, blob error | ReplyError                                 |                |
 * | integer           | number, or bigint beyond the safe integers | always bigint  |
 * | big number        | bigint                                     |                |
 * | bulk string       | string                                     | Buffer         |
 * | verbatim          | string                                     | VerbatimText   |
 * | double            | number                                     |                |
 * | boolean           | boolean                                    |                |
 * | null              | null                                       |                |
 * | array             | array                                      |                |
 * | set, map          | Set, Map                                   |                |
 */
export type Reply =
  | string
  | number
  | bigint
  | boolean
  | null
  | Buffer
  | ReplyError
  | VerbatimText
  | Reply[]
  | Set<Reply>
  | Map<Reply, Reply>
