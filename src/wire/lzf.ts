// Unpacking of LZF (Marc Lehmann's LibLZF), by which Redis shortens strings in its dumps.
//
//   000LLLLL                      L + 1 bytes as they are
//   LLLooooo oooooooo             L + 2 bytes from o + 1 bytes back (L in 1 to 6)
//   111ooooo LLLLLLLL oooooooo    L + 9 bytes from o + 1 bytes back

/** The `length` bytes that packed[start, end) stands for, or undefined when it does not stand for exactly so many. */
export function lzfBytes(packed: Uint8Array, start: number, end: number, length: number): Buffer | undefined {
  const out = Buffer.alloc(length)
  let at = start
  let to = 0
  while (at < end) {
    const control = packed[at++]!
    if (control < 32) {
      const count = control + 1
      if (at + count > end || to + count > length) return undefined
      for (let i = 0; i < count; i++) out[to++] = packed[at++]!
      continue
    }
    let count = (control >>> 5) + 2
    if (count === 9) count += packed[at++] ?? 0
    if (at >= end) return undefined
    let from = to - ((control & 0x1f) << 8) - packed[at++]! - 1
    if (from < 0 || to + count > length) return undefined
    for (let i = 0; i < count; i++) out[to++] = out[from++]!
  }
  return to === length ? out : undefined
}
