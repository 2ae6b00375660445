// Values that are bytes already: images, compressed text, what another program encoded.
// Not for: strings, which have no one encoding; encode them first.
import { TidemarkError } from '../base/errors.ts'
import type { Codec } from './codec.ts'

/** Takes a Uint8Array or a Buffer, of any length; gives back a Buffer of the same bytes. Anything else is refused. */
export function rawCodec(): Codec<Uint8Array> {
  return {
    name: 'raw',
    encode: (value: unknown) => {
      if (value instanceof Uint8Array) return value
      const got = value === null || typeof value !== 'object' ? typeof value : value.constructor.name
      throw new TidemarkError('VALUE_UNENCODABLE', `the raw codec takes a Uint8Array or a Buffer, and got ${got}`)
    },
    // In memory of its own, not in Buffer's pool: a small value that stays would keep the pool's whole slab.
    decode: bytes => Buffer.from(new Uint8Array(bytes).buffer),
  }
}
