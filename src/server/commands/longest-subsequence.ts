// The longest common subsequence of two byte strings, by the table of all prefixes' lengths, and the runs of it that
// stand together in both: found from the end, in the order and with the ties that Redis' LCS has.
// Not for: large values; time and memory go with the product of the lengths, which the caller bounds.

/** a[aStart, aEnd) is b[bStart, bStart + aEnd - aStart). */
export interface Match {
  readonly aStart: number
  readonly aEnd: number
  readonly bStart: number
}

export interface Subsequence {
  readonly bytes: Buffer
  /** The last one first. */
  readonly matches: readonly Match[]
}

/** Lengths of the common subsequence of a[0, i) and b[0, j), at [i * (b.length + 1) + j]. 16 bits hold them while the product is bounded. */
function lengthsOf(a: Uint8Array, b: Uint8Array): Uint16Array {
  const width = b.length + 1
  const lengths = new Uint16Array((a.length + 1) * width)
  for (let i = 1; i <= a.length; i++) {
    const byte = a[i - 1]!
    const row = i * width
    for (let j = 1; j <= b.length; j++) {
      const above = lengths[row - width + j]!
      const left = lengths[row + j - 1]!
      lengths[row + j] = byte === b[j - 1] ? lengths[row - width + j - 1]! + 1 : above > left ? above : left
    }
  }
  return lengths
}

export function longestSubsequence(a: Uint8Array, b: Uint8Array): Subsequence {
  if (a.length === 0 || b.length === 0) return { bytes: Buffer.alloc(0), matches: [] }
  const width = b.length + 1
  const lengths = lengthsOf(a, b)
  let left = lengths[a.length * width + b.length]!
  const bytes = Buffer.alloc(left)
  const matches: Match[] = []
  let open: { aStart: number; aEnd: number; bStart: number } | undefined
  for (let i = a.length, j = b.length; i > 0 && j > 0;) {
    let ended = false
    if (a[i - 1] === b[j - 1]) {
      bytes[--left] = a[i - 1]!
      if (open === undefined) open = { aStart: i - 1, aEnd: i, bStart: j - 1 }
      else if (open.aStart === i && open.bStart === j) {
        open.aStart--
        open.bStart--
      } else ended = true
      if (open.aStart === 0 || open.bStart === 0) ended = true
      i--
      j--
    } else {
      if (lengths[(i - 1) * width + j]! > lengths[i * width + j - 1]!) i--
      else j--
      ended = open !== undefined
    }
    if (!ended || open === undefined) continue
    matches.push(open)
    open = undefined
  }
  return { bytes, matches }
}
