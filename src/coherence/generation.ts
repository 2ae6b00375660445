// Generations: a lane's content is trusted as a whole or not at all. A lane that is reset gets a new generation, and
// every record, lease and fence of another one reads as absent from then on, without anybody touching them.

export interface Generation {
  /** Fingerprint of the database's identity and timeline: positions of different epochs never compare. */
  readonly epoch: bigint
  /** Random, drawn at each reset, 32 bits: two resets at the same position of the same epoch stay apart. */
  readonly nonce: number
}

export function generationsEqual(a: Generation, b: Generation): boolean {
  return a.nonce === b.nonce && a.epoch === b.epoch
}
