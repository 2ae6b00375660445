// Randomness, passed in. `systemRandom` is for production (tokens and nonces must be unguessable and never come
// again); `seededRandom` makes a test or a simulation replay from its seed.
import { nodeCrypto } from './node-modules.ts'

export interface Random {
  /** A whole number in [0, 2^32). */
  uint32(): number
  /** A whole number in [0, below). `below` is in [1, 2^32]. */
  below(below: number): number
  /** A number in [0, 1). */
  fraction(): number
}

class SystemRandom implements Random {
  readonly #pool = new Uint32Array(64)
  #used = 64

  uint32(): number {
    if (this.#used === this.#pool.length) {
      nodeCrypto().randomFillSync(this.#pool)
      this.#used = 0
    }
    return this.#pool[this.#used++]!
  }

  below(below: number): number {
    return Math.floor(this.fraction() * below)
  }

  fraction(): number {
    return this.uint32() / 0x1_0000_0000
  }
}

// sfc32 by Chris Doty-Humphrey (PractRand): 128 bits of state, passes BigCrush.
class SeededRandom implements Random {
  #a: number
  #b: number
  #c = 0x9e3779b9
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0
    for (let i = 0; i < 12; i++) this.uint32()
  }

  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  below(below: number): number {
    return Math.floor(this.fraction() * below)
  }

  fraction(): number {
    return this.uint32() / 0x1_0000_0000
  }
}

export function systemRandom(): Random {
  return new SystemRandom()
}

/** The same seed (a whole number below 2^53) gives the same sequence, on every machine. */
export function seededRandom(seed: number): Random {
  return new SeededRandom(seed)
}
