// The entries of Redis' packed lists, in which its dumps keep small hashes: the listpack (since Redis 7) and the ziplist
// (before). Integers come out as their decimal text. What does not end where it should is refused as a whole.
// Not for: writing them.
//
//   listpack:  | bytes: 4 | count: 2 | entry ... | FF |      entry: | encoding, data | length backwards: 1 to 5 |
//   ziplist:   | bytes: 4 | tail: 4 | count: 2 | entry ... | FF |      entry: | previous: 1 or 5 | encoding | data |

const END = 0xff

interface Entry {
  readonly text: Buffer
  /** Past the entry's data. */
  readonly end: number
}

function integer(n: number | bigint, end: number): Entry {
  return { text: Buffer.from(String(n)), end }
}

function text(bytes: Buffer, start: number, length: number): Entry {
  return { text: bytes.subarray(start, start + length), end: start + length }
}

/** undefined: the bytes are no listpack. */
export function listpackStrings(bytes: Buffer): Buffer[] | undefined {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== bytes.length) return undefined
  return entriesOf(bytes, 6, listpackEntry)
}

/** undefined: the bytes are no ziplist. */
export function ziplistStrings(bytes: Buffer): Buffer[] | undefined {
  if (bytes.length < 11 || bytes.readUInt32LE(0) !== bytes.length) return undefined
  return entriesOf(bytes, 10, ziplistEntry)
}

function entriesOf(
  bytes: Buffer,
  start: number,
  entryAt: (bytes: Buffer, at: number) => Entry | undefined,
): Buffer[] | undefined {
  const entries: Buffer[] = []
  let at = start
  try {
    while (at < bytes.length && bytes[at] !== END) {
      const entry = entryAt(bytes, at)
      if (entry === undefined || entry.end >= bytes.length) return undefined
      entries.push(entry.text)
      at = entry.end
    }
  } catch (thrown) {
    // A number that reaches past the end.
    if (thrown instanceof RangeError) return undefined
    throw thrown
  }
  return at === bytes.length - 1 ? entries : undefined
}

function listpackEntry(bytes: Buffer, at: number): Entry | undefined {
  const entry = listpackData(bytes, at)
  if (entry === undefined) return undefined
  const length = entry.end - at
  const backwards = length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : length < 268_435_456 ? 4 : 5
  return { text: entry.text, end: entry.end + backwards }
}

function listpackData(bytes: Buffer, at: number): Entry | undefined {
  const first = bytes.readUInt8(at)
  if (first < 0x80) return integer(first, at + 1)
  if (first < 0xc0) return text(bytes, at + 1, first & 0x3f)
  if (first < 0xe0) {
    const n = ((first & 0x1f) << 8) | bytes.readUInt8(at + 1)
    return integer(n < 4096 ? n : n - 8192, at + 2)
  }
  if (first < 0xf0) return text(bytes, at + 2, ((first & 0x0f) << 8) | bytes.readUInt8(at + 1))
  switch (first) {
    case 0xf0:
      return text(bytes, at + 5, bytes.readUInt32LE(at + 1))
    case 0xf1:
      return integer(bytes.readInt16LE(at + 1), at + 3)
    case 0xf2:
      return integer(bytes.readIntLE(at + 1, 3), at + 4)
    case 0xf3:
      return integer(bytes.readInt32LE(at + 1), at + 5)
    case 0xf4:
      return integer(bytes.readBigInt64LE(at + 1), at + 9)
    default:
      return undefined
  }
}

function ziplistEntry(bytes: Buffer, start: number): Entry | undefined {
  const at = start + (bytes.readUInt8(start) < 0xfe ? 1 : 5)
  const first = bytes.readUInt8(at)
  if (first < 0x40) return text(bytes, at + 1, first)
  if (first < 0x80) return text(bytes, at + 2, ((first & 0x3f) << 8) | bytes.readUInt8(at + 1))
  switch (first) {
    case 0x80:
      return text(bytes, at + 5, bytes.readUInt32BE(at + 1))
    case 0xc0:
      return integer(bytes.readInt16LE(at + 1), at + 3)
    case 0xd0:
      return integer(bytes.readInt32LE(at + 1), at + 5)
    case 0xe0:
      return integer(bytes.readBigInt64LE(at + 1), at + 9)
    case 0xf0:
      return integer(bytes.readIntLE(at + 1, 3), at + 4)
    case 0xfe:
      return integer(bytes.readInt8(at + 1), at + 2)
    default:
      return first > 0xf0 && first < 0xfe ? integer((first & 0x0f) - 1, at + 1) : undefined
  }
}
