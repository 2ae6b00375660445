// Which keys are asked for: evenly, or by Zipf's law, drawn before anything is measured.
import type { Random } from '../../src/base/random.ts'

export function keyNames(count: number): string[] {
  return Array.from({ length: count }, (_, id) => `user:${id}`)
}

/** `length` numbers below `below`, each as likely. */
export function evenly(length: number, below: number, random: Random): Uint32Array {
  return Uint32Array.from({ length }, () => random.below(below))
}

/** `length` numbers below `below`; the k-th likeliest comes as 1 / k ** exponent, and which that is is random. */
export function byZipf(length: number, below: number, exponent: number, random: Random): Uint32Array {
  const upTo = new Float64Array(below)
  let sum = 0
  for (let i = 0; i < below; i++) upTo[i] = sum += 1 / (i + 1) ** exponent
  const ids = Uint32Array.from({ length: below }, (_, id) => id)
  for (let i = below - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const id = ids[i]!
    ids[i] = ids[j]!
    ids[j] = id
  }
  return Uint32Array.from({ length }, () => ids[rankAt(upTo, random.fraction() * sum)]!)
}

/** The first rank whose sum reaches `at`. */
function rankAt(upTo: Float64Array, at: number): number {
  let low = 0
  let high = upTo.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (upTo[middle]! < at) low = middle + 1
    else high = middle
  }
  return low
}
