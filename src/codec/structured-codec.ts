// Values as V8 serializes them, for everything that structuredClone copies. The default: it loses the least.
// Not for: readers that are no Node. Nor for older ones: a newer V8 reads what an older one wrote, not always the other way
// round, so that while Node is upgraded, older processes may find newer records undecodable, and load instead.
import { DefaultDeserializer, serialize } from 'node:v8'
import type { Codec } from './codec.ts'

/** Node's own deserializer gives typed arrays and Buffers as views of the bytes; here each gets memory of its own. */
class OwningDeserializer extends DefaultDeserializer {
  override _readHostObject(): ArrayBufferView {
    const view = super._readHostObject()
    if (view instanceof DataView) return new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength))
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
