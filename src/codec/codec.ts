// A codec: how one keyspace's values become bytes for a tier that other processes read, and values again. The built-in ones
// are beside this file; each says exactly which types survive.
// Not for: what stands around the bytes (envelope.ts), nor whether a value fits a schema.
//
//                      structured   msgpack       json           raw
//   plain data         yes          yes           yes            no
//   -0                 yes          becomes 0     becomes 0      no
//   NaN, Infinity      yes          yes           become null    no
//   undefined inside   yes          yes           dropped, null  no
//   BigInt             yes          yes           refused        no
//   Date               yes          yes           becomes text   no
//   Map, Set           yes          yes           become {}      no
//   Buffer, Uint8Array yes          yes           become {...}   yes, as Buffer
//   cycles             yes          refused       refused        no
//   functions, symbols refused      refused       dropped, null  refused
//   own classes        plain object plain object  toJSON()       no

export interface Codec<V = unknown> {
  /** Stands in each record: what another codec wrote is not decoded. 1 to 32 printable ASCII characters. */
  readonly name: string
  /**
   * The bytes of a value that is not `undefined`. They may be the value's own memory, and whoever keeps them copies them. Throws
   * for a value that it cannot keep; what it loses silently, it documents.
   */
  encode(value: V): Uint8Array
  /** The value of bytes that encode() gave. Shares no memory with them. May throw for other bytes. */
  decode(bytes: Uint8Array): V
}

/** The same bytes as a Buffer: no copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
