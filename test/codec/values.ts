// Values that fast-check makes for the codecs, by what each codec keeps. Not for: values that a codec refuses.
import fc from 'fast-check'

/** Strings with code units in any order: lone surrogates too. */
const anyText = fc.string({ unit: 'binary' }).map(text => text.normalize())
const loneText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
  .map(units => String.fromCharCode(...units))
const notProto = (key: string): boolean => key !== '__proto__'
const allTypedArrays = [
  fc.int8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
]
const bytes = fc.uint8Array({ maxLength: 64 })

/** What the structured codec keeps, nested; by `leaves` for more or fewer of them. */
function nested(leaves: readonly fc.Arbitrary<unknown>[], keys: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  return fc.letrec(tie => {
    const any = tie('any')
    const few = { maxLength: 5 }
    return {
      any: fc.oneof(
        { maxDepth: 4, depthIdentifier: 'value' },
        ...leaves,
        fc.array(any, few),
        fc.dictionary(keys, any, { maxKeys: 5, noNullPrototype: true }),
        fc.array(fc.tuple(any, any), few).map(entries => new Map(entries)),
        fc.array(any, few).map(members => new Set(members)),
      ),
    }
  })['any']
}

const common = [
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.integer(),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.date({ noInvalidDate: false }),
  bytes,
  bytes.map(array => Buffer.from(array)),
  bytes.map(array => new Uint8Array(array).buffer),
  bytes.map(array => new DataView(new Uint8Array(array).buffer)),
  ...allTypedArrays,
  fc.constantFrom(/a\/b/gi, /^$/u),
]

export const structuredValue: fc.Arbitrary<unknown> = nested(
  [...common, fc.double(), fc.constant(-0), anyText, loneText, anyText.map(text => new RangeError(text))],
  fc.oneof(anyText, loneText),
)

export const msgpackValue: fc.Arbitrary<unknown> = nested(
  [...common, fc.double().filter(number => !Object.is(number, -0)), anyText.filter(text => text.isWellFormed())],
  anyText.filter(key => notProto(key) && key.isWellFormed()),
)

/** Plain data without what JSON loses. */
export const jsonData: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4 }).filter(value => value !== undefined)
