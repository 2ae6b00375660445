// The Lua library on the servers: its name, which holds its version and a digest of its text, and how it gets there. Two
// versions of Tidemark may share a server: each calls functions of its own name, over bytes of one format.
// Not for: calling the functions (valkey-tier.ts).
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { FORMAT_VERSION } from './valkey-bytes.ts'
import type { ValkeyLink } from './valkey-connection.ts'

export const functionNames = [
  'lease',
  'renew',
  'hold',
  'fill',
  'put',
  'void',
  'begin',
  'put_fenced',
  'apply',
  'reset',
  'about',
] as const
export type FunctionName = (typeof functionNames)[number]

/** What a server says of itself. */
export interface ServerFacts {
  /** Of this process of the server: another one, even with the same data, has another. */
  readonly shard: string
  /** The server's clock, in ms, when it answered. */
  readonly serverMs: number
}

export class ValkeyFunctions {
  readonly library: string
  readonly #text: string

  /** `text` is the library with `$LIBRARY` in the place of its name. */
  constructor(text: string) {
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 8)
    this.library = `tidemark_${FORMAT_VERSION}_${digest}`
    this.#text = text.replaceAll('$LIBRARY', this.library)
  }

  static read(): ValkeyFunctions {
    return new ValkeyFunctions(readFileSync(new URL('./valkey-library.lua', import.meta.url), 'utf8'))
  }

  name(name: FunctionName): string {
    return `${this.library}_${name}`
  }

  /** Loads the library; that it is there already is fine, as the name says which text it has. */
  async load(link: ValkeyLink): Promise<void> {
    try {
      await link.send(['FUNCTION', 'LOAD', this.#text])
    } catch (error) {
      if (!messageOf(error).includes('already exists')) throw error
    }
  }

  /** Asks the server about itself, and loads the library first if it has to be. */
  async about(link: ValkeyLink): Promise<ServerFacts> {
    const call = ['FCALL', this.name('about'), '0']
    let reply: unknown
    try {
      reply = await link.send(call)
    } catch (error) {
      if (!isFunctionMissing(error)) throw error
      await this.load(link)
      reply = await link.send(call)
    }
    const [shard, serverMs] = reply as [Buffer, Buffer]
    return { shard: shard.toString('latin1'), serverMs: Number(serverMs.readBigUInt64BE()) }
  }
}

/** A new primary that nobody has given the library yet, or one whose functions were flushed. */
export function isFunctionMissing(error: unknown): boolean {
  return messageOf(error).includes('Function not found')
}
