// Codecs that each break one rule of the contract. What they are to keep is JSON, and bytes where it says so.
import { jsonCodec, rawCodec, structuredCodec, type Codec } from '../../../src/index.ts'

export const codecValues: readonly unknown[] = [{ a: [1, 'two', null] }, { a: [] }, 'text', 7, false]
export const codecRefused: readonly unknown[] = [1n, () => 1]

const parsed = (json: string): unknown => JSON.parse(json) as unknown

const text = (value: unknown): string => jsonCodec().encode(value).toString()

interface BrokenCodec {
  readonly breaks: string
  readonly make: () => Codec
  readonly values?: readonly unknown[]
}

/** By what they do. */
export const brokenCodecs: Readonly<Record<string, BrokenCodec>> = {
  'a name with a blank': {
    breaks: 'it has a name that records can keep, the same in each process',
    make: () => ({ ...jsonCodec(), name: 'my codec' }),
  },
  'a string in the place of bytes': {
    breaks: 'what it writes is bytes, at once',
    make: () => ({ ...jsonCodec(), encode: value => text(value) as unknown as Uint8Array }),
  },
  'bytes, later': {
    breaks: 'what it writes is bytes, at once',
    make: () => ({ ...jsonCodec(), encode: value => Promise.resolve(jsonCodec().encode(value)) as unknown as Uint8Array }), // prettier-ignore
  },
  'a table that only this object has': {
    breaks: 'what it writes another process reads, as it was',
    make: () => {
      const table: unknown[] = []
      const encode = (value: unknown): Uint8Array => {
        text(value)
        return Uint8Array.of(table.push(structuredClone(value)) - 1)
      }
      return { name: 'table', encode, decode: bytes => structuredClone(table[bytes[0]!]) }
    },
  },
  'empty arrays as null': {
    breaks: 'what it writes another process reads, as it was',
    make: () => ({
      ...jsonCodec(),
      decode: bytes => parsed(Buffer.from(bytes).toString().replaceAll('[]', 'null')),
    }),
  },
  'bytes that it takes for a Buffer': {
    breaks: 'it reads bytes that lie anywhere in memory, and are no Buffer',
    make: () => ({ ...jsonCodec(), decode: bytes => parsed(bytes.toString()) }),
  },
  'all of the memory that the bytes lie in': {
    breaks: 'it reads bytes that lie anywhere in memory, and are no Buffer',
    make: () => ({ ...jsonCodec(), decode: bytes => parsed(Buffer.from(bytes.buffer).toString()) }),
  },
  'a value that came before, as its number': {
    breaks: 'what it wrote one after another is read in any order',
    make: () => {
      const [written, read]: [string[], string[]] = [[], []]
      return {
        name: 'numbers',
        encode: value => {
          const [json, at] = [text(value), written.indexOf(text(value))]
          if (at < 0) written.push(json)
          return Buffer.from(at < 0 ? json : `#${at}`)
        },
        decode: bytes => {
          const json = Buffer.from(bytes).toString()
          if (!json.startsWith('#')) read.push(json)
          return parsed(json.startsWith('#') ? read[Number(json.slice(1))]! : json)
        },
      }
    },
  },
  'the bytes themselves': {
    breaks: 'what it read shares no memory with the bytes',
    make: () => ({ ...rawCodec(), decode: bytes => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) }),
    values: [Buffer.from('abc')],
  },
  'what it has read before': {
    breaks: 'what it reads twice is two objects',
    make: () => {
      const known = new Map<string, unknown>()
      const decode = (bytes: Uint8Array): unknown => {
        const json = Buffer.from(bytes).toString()
        if (!known.has(json)) known.set(json, parsed(json))
        return known.get(json)
      }
      return { ...jsonCodec(), decode }
    },
  },
  'a mark on what it writes': {
    breaks: 'a value is as it was after it was written',
    make: () => ({
      ...jsonCodec(),
      encode: value => {
        const bytes = jsonCodec().encode(value)
        if (typeof value === 'object' && value !== null) (value as { written?: boolean }).written = true
        return bytes
      },
    }),
    // What another variant is tested with is not to be marked.
    values: [{ marked: 'here alone' }],
  },
  'undefined as null': {
    breaks: 'undefined is refused, or comes back as undefined',
    make: () => ({ ...jsonCodec(), encode: value => jsonCodec().encode(value ?? null) }),
  },
  'a number in the place of a BigInt': {
    breaks: 'what it is not for it refuses, and goes on with the next value',
    make: () => ({ ...jsonCodec(), encode: value => jsonCodec().encode(typeof value === 'bigint' ? Number(value) : value) }), // prettier-ignore
  },
  'nothing any more, once it has refused': {
    breaks: 'what it is not for it refuses, and goes on with the next value',
    make: () => {
      let broken = false
      const encode = (value: unknown): Uint8Array => {
        if (broken) throw new Error('the stream is closed')
        broken = true
        const bytes = jsonCodec().encode(value)
        broken = false
        return bytes
      }
      return { ...jsonCodec(), encode }
    },
  },
}

/** With what each of them is for, and what it is not for. */
export const soundCodecs: Readonly<
  Record<string, readonly [() => Codec, values: readonly unknown[], refused: readonly unknown[]]>
> = {
  'the JSON codec': [jsonCodec, codecValues, codecRefused],
  'the structured codec': [structuredCodec, [...codecValues, new Map([[1n, new Date(0)]])], [() => 1, Symbol('a')]],
  'the raw codec': [rawCodec, [Buffer.from('abc'), Buffer.alloc(0)], ['text', null]],
}
