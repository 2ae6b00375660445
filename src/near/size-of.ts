// A fast estimate of what a value takes in memory: what V8 allocates on a 64-bit machine, near enough to bound a cache by. The
// work is bounded: of a long list some members are measured and stand for all, and after so many objects the rest goes by
// the average. What is shared within one value counts once; what it shares with the rest of the program counts in full.
// Not for: exact figures. Own enumerable properties are read, so getters run; what only a closure or a #field holds is not seen.

/** What a pool takes for an entry besides key and value: a place in a map, a slot. */
export const ENTRY_BYTES = 96

const POINTER_BYTES = 8
const STRING_BYTES = 16
const OBJECT_BYTES = 24
const ARRAY_BYTES = 48
/** Of an object with many fields; a table is up to half empty. */
const TABLE_ENTRY_BYTES = 56
const MAP_BYTES = 128
const MAP_ENTRY_BYTES = 32
const SET_ENTRY_BYTES = 24
const BUFFER_BYTES = 200
const NUMBER_BYTES = 16
const DATE_BYTES = 96
const FUNCTION_BYTES = 64
/** Of a longer list so many members are measured. */
const MEMBERS_MAX = 32
/** Objects that are looked into; those that come after count as empty. */
const OBJECTS_MAX = 2_000
const SAMPLED_CHARACTERS = 16

/** Bytes, a whole number, of a value and of all that it holds. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return sizeOfString(value)
  if (typeof value !== 'object' || value === null) return sizeOfPrimitive(value)
  return new Measure().object(value)
}

/** What a primitive value takes beyond the field that holds it. */
function sizeOfPrimitive(value: unknown): number {
  switch (typeof value) {
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 0 : NUMBER_BYTES
    case 'bigint':
      return sizeOfBigInt(value)
    case 'function':
      return FUNCTION_BYTES
    default:
      return 0
  }
}

function sizeOfBigInt(value: bigint): number {
  if (BigInt.asIntN(64, value) === value) return NUMBER_BYTES + 8
  // Sixteen hexadecimal digits are a word of 64 bits.
  return NUMBER_BYTES + Math.ceil(value.toString(16).length / 16) * 8
}

/** One byte a character when all are below 256, as far as a few of them tell; else two. */
function sizeOfString(text: string): number {
  const { length } = text
  let wide = 1
  const step = Math.max(1, Math.floor(length / SAMPLED_CHARACTERS))
  for (let i = 0; i < length; i += step) {
    if (text.charCodeAt(i) > 0xff) {
      wide = 2
      break
    }
  }
  return (STRING_BYTES + length * wide + 7) & ~7
}

class Measure {
  /** Made with the second object: most values are one flat object. */
  #seen: Set<object> | undefined
  #first: object | undefined
  #objects = 0

  object(value: object): number {
    if (!this.#isNew(value)) return 0
    if (Array.isArray(value)) return this.#array(value)
    if (ArrayBuffer.isView(value)) return BUFFER_BYTES + value.byteLength
    if (value instanceof Date) return DATE_BYTES
    if (value instanceof Map) return this.#map(value)
    if (value instanceof Set) return MAP_BYTES + value.size * SET_ENTRY_BYTES + this.#sampled(value, value.size)
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return BUFFER_BYTES + value.byteLength
    return this.#fields(value)
  }

  #isNew(value: object): boolean {
    if (this.#objects++ === 0) {
      this.#first = value
      return true
    }
    if (this.#objects > OBJECTS_MAX || value === this.#first) return false
    if (this.#seen === undefined) this.#seen = new Set()
    else if (this.#seen.has(value)) return false
    this.#seen.add(value)
    return true
  }

  #held(value: unknown): number {
    if (typeof value === 'string') return sizeOfString(value)
    return typeof value === 'object' && value !== null ? this.object(value) : sizeOfPrimitive(value)
  }

  #fields(value: object): number {
    const fields = value as Record<string, unknown>
    let count = 0
    let held = 0
    for (const name in fields) {
      held += this.#held(fields[name])
      if (++count === MEMBERS_MAX) return this.#manyFields(fields, held / MEMBERS_MAX)
    }
    return OBJECT_BYTES + count * POINTER_BYTES + held
  }

  /** An object of so many fields is a table of its own, with its names. */
  #manyFields(fields: Record<string, unknown>, held: number): number {
    const names = Object.keys(fields)
    let named = 0
    for (let i = 0; i < MEMBERS_MAX; i++)
      named += sizeOfString(names[Math.floor((i * names.length) / MEMBERS_MAX)] ?? '')
    return OBJECT_BYTES + Math.round((held + named / MEMBERS_MAX + TABLE_ENTRY_BYTES) * names.length)
  }

  #array(value: readonly unknown[]): number {
    const { length } = value
    let bytes = 0
    if (length <= MEMBERS_MAX) {
      for (let i = 0; i < length; i++) bytes += this.#held(value[i])
    } else {
      for (let i = 0; i < MEMBERS_MAX; i++) bytes += this.#inLongArray(value[Math.floor((i * length) / MEMBERS_MAX)])
      bytes = Math.round((bytes / MEMBERS_MAX) * length)
    }
    return ARRAY_BYTES + length * POINTER_BYTES + bytes
  }

  /** Long arrays of numbers hold them without boxes. */
  #inLongArray(value: unknown): number {
    return typeof value === 'number' ? 0 : this.#held(value)
  }

  #map(value: ReadonlyMap<unknown, unknown>): number {
    return MAP_BYTES + value.size * MAP_ENTRY_BYTES + this.#sampled(value.keys(), value.size) + this.#sampled(value.values(), value.size) // prettier-ignore
  }

  /** What members hold: the first ones stand for all. */
  #sampled(members: Iterable<unknown>, count: number): number {
    let bytes = 0
    let measured = 0
    for (const member of members) {
      bytes += this.#held(member)
      if (++measured === MEMBERS_MAX) break
    }
    return measured === 0 ? 0 : Math.round((bytes / measured) * count)
  }
}
