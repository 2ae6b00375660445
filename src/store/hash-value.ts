// The value of a plain hash (RecordType.hash): one record, rewritten whole at each change. Fields stand in the order in
// which they first came. Reading goes by offsets over any bytes, so that a hit needs no objects; changing makes a new
// value. Not for: rows (their value is JSON text), nor anything that knows of keys or of the store.
//
//   byte 0        4                                              (all numbers little-endian, 32 bits)
//        +--------+---------------------------------------------+----
//        | count  | field 0: nameBytes, valueBytes, name, value | field 1 ...
//        +--------+---------------------------------------------+----
//                   ^ a field's offset points here
import { bytesEqual } from '../base/bytes.ts'

const COUNT_BYTES = 4
const FIELD_HEADER_BYTES = 8
/** Up to so many names are looked for one by one; more go through a map. */
const FEW = 8

export type HashField = readonly [name: Uint8Array, value: Uint8Array]

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function writeUint32(bytes: Uint8Array, at: number, n: number): void {
  bytes[at] = n
  bytes[at + 1] = n >>> 8
  bytes[at + 2] = n >>> 16
  bytes[at + 3] = n >>> 24
}

/** How many fields the hash at `start` has. */
export function hashFieldCount(bytes: Uint8Array, start: number): number {
  return readUint32(bytes, start)
}

/** The offset of the hash's first field; see nextHashField. */
export function firstHashField(start: number): number {
  return start + COUNT_BYTES
}

/** The offset of the field after the one at `field`; past the last it is the hash's end. */
export function nextHashField(bytes: Uint8Array, field: number): number {
  return field + FIELD_HEADER_BYTES + readUint32(bytes, field) + readUint32(bytes, field + 4)
}

export function hashNameStart(field: number): number {
  return field + FIELD_HEADER_BYTES
}

export function hashNameEnd(bytes: Uint8Array, field: number): number {
  return field + FIELD_HEADER_BYTES + readUint32(bytes, field)
}

/** Where the field's value begins: where its name ends. The value ends at nextHashField. */
export function hashValueStart(bytes: Uint8Array, field: number): number {
  return hashNameEnd(bytes, field)
}

/** The offset of the field called name[nameStart, nameEnd) of the hash bytes[start, end), or -1. Allocates nothing. */
export function findHashField(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: Uint8Array,
  nameStart: number,
  nameEnd: number,
): number {
  for (let field = firstHashField(start); field < end; field = nextHashField(bytes, field)) {
    if (bytesEqual(bytes, hashNameStart(field), hashNameEnd(bytes, field), name, nameStart, nameEnd)) return field
  }
  return -1
}

/** All fields, in order, as views of `value`. */
export function hashFields(value: Uint8Array): HashField[] {
  const fields: HashField[] = []
  for (let field = firstHashField(0); field < value.length;) {
    const next = nextHashField(value, field)
    const valueStart = hashValueStart(value, field)
    fields.push([value.subarray(hashNameStart(field), valueStart), value.subarray(valueStart, next)])
    field = next
  }
  return fields
}

/** The values, as views of `value`, of the fields called `names`; undefined where there is no such field. */
export function getHashFields(value: Uint8Array, names: readonly Uint8Array[]): (Uint8Array | undefined)[] {
  if (names.length > FEW) {
    const all = new Map(hashFields(value).map(field => [latin1(field[0], 0, field[0].length), field[1]]))
    return names.map(name => all.get(latin1(name, 0, name.length)))
  }
  return names.map(name => {
    const field = findHashField(value, 0, value.length, name, 0, name.length)
    return field === -1 ? undefined : value.subarray(hashValueStart(value, field), nextHashField(value, field))
  })
}

/** Names of one command, each with the index of its last place in it; looked up by bytes. */
class NameIndex {
  readonly #names: Uint8Array[] = []
  readonly #last: number[] = []
  readonly #byText: Map<string, number> | undefined

  constructor(names: readonly Uint8Array[]) {
    this.#byText = names.length > FEW ? new Map() : undefined
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!
      const known = this.slot(name, 0, name.length)
      if (known !== -1) {
        this.#last[known] = i
        continue
      }
      this.#byText?.set(latin1(name, 0, name.length), this.#names.length)
      this.#names.push(name)
      this.#last.push(i)
    }
  }

  get size(): number {
    return this.#names.length
  }

  /** A number in [0, size) for a name that is there, else -1. */
  slot(bytes: Uint8Array, start: number, end: number): number {
    if (this.#byText !== undefined) return this.#byText.get(latin1(bytes, start, end)) ?? -1
    for (let i = 0; i < this.#names.length; i++) {
      const name = this.#names[i]!
      if (bytesEqual(bytes, start, end, name, 0, name.length)) return i
    }
    return -1
  }

  /** The index, in what the constructor was given, of the last occurrence of the name in this slot. */
  lastIndex(slot: number): number {
    return this.#last[slot]!
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

function writeField(out: Uint8Array, at: number, name: Uint8Array, value: Uint8Array): number {
  writeUint32(out, at, name.length)
  writeUint32(out, at + 4, value.length)
  out.set(name, at + FIELD_HEADER_BYTES)
  out.set(value, at + FIELD_HEADER_BYTES + name.length)
  return at + FIELD_HEADER_BYTES + name.length + value.length
}

export interface HashChange {
  readonly value: Buffer
  /** Fields that came to be, or that went. */
  readonly fields: number
}

/** `old` (undefined: no hash yet) with `fields` set; of a name given twice the last value counts. */
export function setHashFields(old: Uint8Array | undefined, fields: readonly HashField[]): HashChange {
  const before = old ?? new Uint8Array(COUNT_BYTES)
  const index = new NameIndex(fields.map(field => field[0]))
  const written = new Uint8Array(index.size)
  let bytes = before.length
  for (const [name, value] of fields) bytes += FIELD_HEADER_BYTES + name.length + value.length
  const out = Buffer.allocUnsafe(bytes)
  let at = COUNT_BYTES
  for (let field = firstHashField(0); field < before.length;) {
    const next = nextHashField(before, field)
    const slot = index.slot(before, hashNameStart(field), hashNameEnd(before, field))
    if (slot === -1) {
      out.set(before.subarray(field, next), at)
      at += next - field
    } else {
      const [name, value] = fields[index.lastIndex(slot)]!
      at = writeField(out, at, name, value)
      written[slot] = 1
    }
    field = next
  }
  let added = 0
  for (let slot = 0; slot < index.size; slot++) {
    if (written[slot] === 1) continue
    const [name, value] = fields[index.lastIndex(slot)]!
    at = writeField(out, at, name, value)
    added++
  }
  writeUint32(out, 0, hashFieldCount(before, 0) + added)
  return { value: out.subarray(0, at), fields: added }
}

/** `old` without the fields called `names`. A result with a count of 0 is to be removed: no empty hash exists. */
export function removeHashFields(old: Uint8Array, names: readonly Uint8Array[]): HashChange {
  const index = new NameIndex(names)
  const out = Buffer.allocUnsafe(old.length)
  let at = COUNT_BYTES
  let removed = 0
  for (let field = firstHashField(0); field < old.length;) {
    const next = nextHashField(old, field)
    if (index.slot(old, hashNameStart(field), hashNameEnd(old, field)) === -1) {
      out.set(old.subarray(field, next), at)
      at += next - field
    } else removed++
    field = next
  }
  writeUint32(out, 0, hashFieldCount(old, 0) - removed)
  return { value: out.subarray(0, at), fields: removed }
}
