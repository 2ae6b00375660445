// Values as MessagePack, by the package `msgpackr`, which the user installs; it is loaded when a codec is made, and never
// otherwise. The smallest of all, and faster to write than the structured codec; docs/decisions/0012 says what it costs.
// Not for: readers that are not msgpackr. Objects are written as its records, because plain MessagePack cannot tell a Map
// from an object.
import { createRequire } from 'node:module'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { asBuffer } from './codec.ts'
import type { Codec } from './codec.ts'

/** What is used of msgpackr. Its own types would have to be there for everyone who does not use it. */
interface Msgpackr {
  readonly Packr: new (options: Readonly<Record<string, unknown>>) => {
    pack(value: unknown): Uint8Array
    unpack(bytes: Uint8Array): unknown
  }
}

function loadMsgpackr(): Msgpackr {
  try {
    return createRequire(import.meta.url)('msgpackr') as Msgpackr
  } catch (cause) {
    throw new TidemarkError(
      'CODEC_INVALID',
      `the msgpack codec needs the package msgpackr: npm install msgpackr (${messageOf(cause).split('\n', 1)[0]})`,
      { cause },
    )
  }
}

function refuseFunction(): never {
  throw new TidemarkError('VALUE_UNENCODABLE', 'a function cannot be encoded as MessagePack')
}

/**
 * Survive exactly: strings but lone surrogates, numbers but -0 (which becomes 0), BigInts of any size, booleans, null,
 * undefined, plain objects, arrays, Date (invalid ones too), RegExp, Map, Set, Error with its name, message and cause,
 * ArrayBuffer, DataView, Buffer, and typed arrays but Float16Array, which cannot be decoded. Holes of arrays become undefined;
 * an object in two places becomes two objects; the own key `__proto__` becomes `__proto_`; instances of other classes come
 * back as plain objects of their own properties; toJSON() is not called. Refused: functions, symbols, cycles. Throws
 * CODEC_INVALID when msgpackr is not installed.
 */
export function msgpackCodec<V = unknown>(): Codec<V> {
  const { Packr } = loadMsgpackr()
  const packr = new Packr({
    useRecords: true,
    moreTypes: true,
    copyBuffers: true,
    useToJSON: false,
    writeFunction: refuseFunction,
  })
  return {
    name: 'msgpack',
    encode: value => packr.pack(value),
    // Buffers come back as such only from a Buffer.
    decode: bytes => packr.unpack(asBuffer(bytes)) as V,
  }
}
