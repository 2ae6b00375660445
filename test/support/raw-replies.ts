// The replies of a server as the bytes they were, one by one: for comparing byte by byte.
import { connect } from 'node:net'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import type { Argument } from './call.ts'

function requests(commands: readonly (readonly Argument[])[]): Buffer {
  const out = new ReplyWriter()
  for (const command of commands) {
    out.array(command.length)
    for (const arg of command) out.bulk(typeof arg === 'object' ? arg : Buffer.from(String(arg)))
  }
  return out.detach()
}

/** Cuts a stream of `count` replies where each ends. */
class ReplyCutter {
  readonly replies: Buffer[] = []
  #received: Buffer[] = []
  readonly #parser = new ReplyParser({
    onReply: () => {
      this.replies.push(Buffer.concat(this.#received))
      this.#received = []
    },
  })

  push(chunk: Buffer): void {
    // Byte by byte, so that a reply is complete exactly at its last one.
    for (let i = 0; i < chunk.length; i++) {
      const byte = Buffer.from(chunk.subarray(i, i + 1))
      this.#received.push(byte)
      if (!this.#parser.push(byte)) throw new Error(this.#parser.error)
    }
  }
}

/** Sends all commands at once over one connection; resolves with the reply of each. */
export function rawReplies(port: number, commands: readonly (readonly Argument[])[]): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const cutter = new ReplyCutter()
    const socket = connect(port, '127.0.0.1', () => socket.write(requests(commands)))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${cutter.replies.length} of ${commands.length} replies`)))
    socket.on('data', (chunk: Buffer) => {
      cutter.push(chunk)
      if (cutter.replies.length < commands.length) return
      resolve(cutter.replies)
      socket.destroy()
    })
  })
}
