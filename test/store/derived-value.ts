// Values whose length and content follow from their key's number and a version, so that a torn, mixed or foreign one is
// recognised by whoever reads it.
//
//   | key u32 | version u32 | key | version | ...     lengthOf(key, version) bytes; below 8 only what fits of it

export const DERIVED_BYTES_MAX = 100_000

function mix(key: number, version: number): number {
  let h = Math.imul(key ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(version, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return (h ^ (h >>> 15)) >>> 0
}

/** From `least` to 100,000 bytes; one in 20 longer than 200, one in 800 longer than 10,000. */
export function lengthOf(key: number, version: number, least: number): number {
  const h = mix(key, version)
  const size = h >>> 10
  if (h % 800 === 0) return 10_000 + (size % (DERIVED_BYTES_MAX - 10_000))
  if (h % 20 === 0) return 200 + (size % 5_000)
  return least + (size % (200 - least))
}

const pattern = Buffer.alloc(8)

/** Writes the value to the start of `out`; returns its length. */
export function writeDerived(out: Buffer, key: number, version: number, least: number): number {
  const bytes = lengthOf(key, version, least)
  pattern.writeUInt32LE(key, 0)
  pattern.writeUInt32LE(version, 4)
  if (bytes > 256) out.fill(pattern, 0, bytes)
  else for (let i = 0; i < bytes; i++) out[i] = pattern[i & 7]!
  return bytes
}

/** The version of a value of 8 bytes or more. */
export function versionIn(value: Buffer): number {
  return value.readUInt32LE(4)
}

/** What is wrong with the value in value[0, bytes), or '' when it is the key's of that version. */
export function flawIn(value: Buffer, bytes: number, key: number, version: number, least: number): string {
  const expected = lengthOf(key, version, least)
  if (bytes !== expected) return `${bytes} bytes instead of ${expected} of key ${key}, version ${version}`
  pattern.writeUInt32LE(key, 0)
  pattern.writeUInt32LE(version, 4)
  for (let i = 0; i < Math.min(bytes, 8); i++) {
    if (value[i] !== pattern[i]) return `byte ${i} is ${value[i]}, not key ${key}'s of version ${version}`
  }
  if (bytes > 256) {
    // Every byte equals the one 8 before it.
    return value.compare(value, 0, bytes - 8, 8, bytes) === 0 ? '' : `key ${key}, version ${version} is torn`
  }
  for (let i = 8; i < bytes; i++) {
    if (value[i] !== pattern[i & 7]) return `key ${key}, version ${version} is torn at byte ${i}`
  }
  return ''
}
