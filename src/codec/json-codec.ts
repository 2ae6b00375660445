// Values as JSON text, for tiers that other programs read, and for people who look into them.
// Not for: types that JSON does not have.
import { TidemarkError } from '../base/errors.ts'
import { asBuffer } from './codec.ts'
import type { Codec } from './codec.ts'

/**
 * Survive exactly: strings, finite numbers but -0, booleans, null, and arrays and plain objects of them. The rest goes as
 * JSON.stringify has it: -0 becomes 0; NaN and Infinity become null; in objects, undefined, functions and symbols are dropped, in
 * arrays they become null; Date becomes text; Map and Set become {}; toJSON() is called. Refused: BigInt, cycles, and a value
 * that has no JSON at all (undefined, a function, a symbol).
 */
export function jsonCodec<V = unknown>(): Codec<V> {
  return {
    name: 'json',
    encode: value => {
      // Declared as text always; undefined for what has no JSON.
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined)
        throw new TidemarkError(
          'VALUE_UNENCODABLE',
          `${typeof value} is no value in JSON: give null, or what the value is made of`,
        )
      return Buffer.from(text)
    },
    decode: bytes => JSON.parse(asBuffer(bytes).toString()) as V,
  }
}
