// The one hash of keys: MurmurHash3, 32 bits (Austin Appleby, public domain), over bytes in place.
// With a random seed it places keys in the store, so that nobody outside can aim at one bucket; with seed 0 it
// chooses lanes, where every process must agree. Hot path: plain loop, no allocation.

const C1 = 0xcc9e2d51
const C2 = 0x1b873593

/** As hash32, of the bytes [start, end) of `view`. */
export function hash32OfView(view: DataView, start: number, end: number, seed: number): number {
  let h = seed | 0
  let i = start
  for (const whole = end - ((end - start) & 3); i < whole; i += 4) {
    let k = Math.imul(view.getInt32(i, true), C1)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, C2)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  const rest = end - i
  if (rest > 0) {
    let tail = view.getUint8(i)
    if (rest > 1) tail |= view.getUint8(i + 1) << 8
    if (rest > 2) tail |= view.getUint8(i + 2) << 16
    h ^= mixTail(tail)
  }
  return finish(h, end - start)
}

/** The hash of bytes[start, end), a signed 32-bit integer. */
export function hash32(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let h = seed | 0
  let i = start
  for (const whole = end - ((end - start) & 3); i < whole; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, C1)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, C2)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  const rest = end - i
  if (rest > 0) {
    let tail = bytes[i]!
    if (rest > 1) tail |= bytes[i + 1]! << 8
    if (rest > 2) tail |= bytes[i + 2]! << 16
    h ^= mixTail(tail)
  }
  return finish(h, end - start)
}

function mixTail(tail: number): number {
  const k = Math.imul(tail, C1)
  return Math.imul((k << 15) | (k >>> 17), C2)
}

function finish(h: number, length: number): number {
  h ^= length
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}
