// Values as V8 serializes them, for everything that structuredClone copies. The default: it loses the least.
// Not for: readers that are no Node. Nor for older ones: a newer V8 reads what an older one wrote, not always the other way
// round, so that while Node is upgraded, older processes may find newer records undecodable, and load instead.
import { DefaultDeserializer, serialize } from 'node:v8'
import type { Codec } from './codec.ts'

/** What Node documents and its types leave out: reads a typed array, a DataView or a Buffer, as a view of the bytes. */
interface ReadsViews {
  _readHostObject(): ArrayBufferView<ArrayBuffer>
}

const ViewDeserializer = DefaultDeserializer as new (bytes: Uint8Array) => DefaultDeserializer & ReadsViews

/** Gives each of them memory of its own. */
class OwningDeserializer extends ViewDeserializer {
  override _readHostObject(): ArrayBufferView<ArrayBuffer> {
    const view = super._readHostObject()
    const { buffer, byteOffset, byteLength } = view
    if (view instanceof DataView) return new DataView(buffer.slice(byteOffset, byteOffset + byteLength))
    return Uint8Array.prototype.slice.call(view)
  }
}

/**
 * Survive exactly: all primitives but symbols (-0, NaN, lone surrogates and BigInts of any size included), plain objects, arrays with
 * holes, Date, RegExp, Map, Set, Error with its name, message, stack and cause, ArrayBuffer, typed arrays, DataView, Buffer, boxed
 * primitives, cycles, and one object in two places. Instances of classes come back as plain objects, without accessors
 * (their values are kept), symbol keys and private fields. Refused: functions, symbols, promises, WeakMaps, proxies.
 */
export function structuredCodec<V = unknown>(): Codec<V> {
  return {
    name: 'v8',
    encode: value => serialize(value),
    decode: bytes => {
      const deserializer = new OwningDeserializer(bytes)
      deserializer.readHeader()
      return deserializer.readValue() as V
    },
  }
}
