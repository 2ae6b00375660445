// What survives each built-in codec, what it loses and what it refuses: as their docstrings say it.
// Not for: the envelope around the bytes (envelope.test.ts), and all of it together (value-codec.test.ts).
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { jsonCodec } from '../../src/codec/json-codec.ts'
import { msgpackCodec } from '../../src/codec/msgpack-codec.ts'
import { rawCodec } from '../../src/codec/raw-codec.ts'
import { structuredCodec } from '../../src/codec/structured-codec.ts'
import { jsonData, msgpackValue, structuredValue } from './values.ts'
import type { Codec } from '../../src/codec/codec.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1), numRuns: 1000 })

const unencodable = { code: 'VALUE_UNENCODABLE' }

class Point {
  readonly x = 1
  get double(): number {
    return this.x * 2
  }
  toJSON(): string {
    return 'a point'
  }
}

function withHole(): unknown[] {
  const list: unknown[] = [1]
  list[2] = 3
  return list
}

/** Through another object of the codec, as in another process, and with what was read overwritten before it is compared. */
function through<V>(make: () => Codec<V>, value: V): V {
  const encoded = Uint8Array.from(make().encode(value))
  const decoded = make().decode(encoded)
  encoded.fill(0xff)
  return decoded
}

/** Every kind of view over bytes, and none of them at the beginning of its memory. */
function views(): ArrayBufferView[] {
  const all = [Uint8Array, Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array]
  const memory = Uint8Array.from({ length: 64 }, (_, i) => i).buffer
  const arrays = [...all, Float64Array, BigInt64Array, BigUint64Array].map(View => new View(memory, 8, 3))
  return [...arrays, new DataView(memory, 5, 7), Buffer.from(memory, 3, 9)]
}

function survives<V>(make: () => Codec<V>, value: V): void {
  assert.deepStrictEqual(through(make, value), value)
}

describe('the structured codec', () => {
  test('keeps everything that it says, however nested', () => {
    fc.assert(
      fc.property(fc.array(structuredValue, { minLength: 2 }), value => survives<unknown>(structuredCodec, value)),
    )
  })
  test('keeps a BigInt, -0, NaN, a Float16Array and holes', () => {
    for (const value of [-(2n ** 300n), -0, NaN, new Float16Array([1.5]), withHole(), { a: undefined }])
      survives(structuredCodec, value)
  })
  test('keeps cycles, and one object in two places', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    survives<unknown>(structuredCodec, cycle)
    const twice = {}
    const [a, b] = through<unknown[]>(structuredCodec, [twice, twice])
    assert.equal(a, b)
  })
  test('keeps the cause of an error, and its stack', () => {
    const error = new TypeError('outer', { cause: new Error('inner') })
    survives<unknown>(structuredCodec, error)
    assert.equal(through<Error>(structuredCodec, error).stack, error.stack)
  })
  test('gives instances of classes back as plain objects', () => {
    assert.deepStrictEqual(through<unknown>(structuredCodec, new Point()), { x: 1 })
  })
  test('refuses functions and symbols', () => {
    for (const value of [() => 1, Symbol('a'), { f: () => 1 }, Promise.resolve()])
      assert.throws(() => structuredCodec().encode(value), /could not be cloned/)
  })
})

describe('views over bytes', () => {
  for (const make of [structuredCodec, msgpackCodec]) {
    test(`come back from the ${make().name} codec, each with memory of its own and no more of it than it shows`, () => {
      survives<unknown>(make, views())
      for (const view of through<ArrayBufferView[]>(make, views())) {
        assert.equal(view.byteOffset, 0, view.constructor.name)
        assert.equal(view.buffer.byteLength, view.byteLength, view.constructor.name)
      }
    })
  }
  test('come back from the raw codec with memory of its own', () => {
    assert.equal(through<Uint8Array>(rawCodec, Buffer.from('abc')).buffer.byteLength, 3)
  })
})

describe('the JSON codec', () => {
  test('keeps what JSON has, however nested', () => {
    fc.assert(
      fc.property(jsonData, value => {
        // JSON has no -0, and jsonValue() makes it.
        const expected = JSON.parse(JSON.stringify(value)) as unknown
        survives<unknown>(jsonCodec, expected)
      }),
    )
  })
  test('loses what JSON loses, as JSON does', () => {
    const value = {
      zero: -0,
      nan: NaN,
      gone: undefined,
      f: () => 1,
      list: [undefined],
      at: new Date(0),
      map: new Map(),
      point: new Point(),
    }
    const expected = { zero: 0, nan: null, list: [null], at: '1970-01-01T00:00:00.000Z', map: {}, point: 'a point' }
    assert.deepStrictEqual(through<unknown>(jsonCodec, value), expected)
  })
  test('refuses what has no JSON at all with an error that says so', () => {
    for (const value of [undefined, () => 1, Symbol('a'), { toJSON: () => undefined }])
      assert.throws(() => jsonCodec().encode(value), { ...unencodable, message: /is no value in JSON/ })
  })
  test('refuses a BigInt and a cycle', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const value of [1n, { a: 1n }, cycle]) assert.throws(() => jsonCodec().encode(value), TypeError)
  })
})

describe('the msgpack codec', () => {
  test('keeps everything that it says, however nested', () => {
    fc.assert(fc.property(fc.array(msgpackValue, { minLength: 2 }), value => survives<unknown>(msgpackCodec, value)))
  })
  test('keeps a BigInt, NaN, Date, Map, Set, Buffer and undefined', () => {
    const all = { big: [1n, -(2n ** 300n)], nan: NaN, at: new Date(-1), map: new Map([[{ k: 1 }, new Set([1n])]]) }
    survives<unknown>(msgpackCodec, { ...all, buffer: Buffer.from('abc'), bytes: Uint8Array.of(1), gone: undefined })
  })
  test('keeps name, message and cause of an error', () => {
    survives<unknown>(msgpackCodec, new TypeError('outer', { cause: 'inner' }))
  })
  test('one codec encodes many shapes, and each of its records is read on its own', () => {
    const writer = msgpackCodec()
    for (let i = 0; i < 300; i++) {
      const value = { [`a${i}`]: 1, [`b${i}`]: { [`c${i % 7}`]: [{ [`d${i}`]: i }] } }
      const reader = msgpackCodec()
      assert.deepStrictEqual(reader.decode(writer.encode(value)), value)
    }
  })
  test('loses -0, lone surrogates, holes, __proto__ and classes, as it says', () => {
    assert.ok(Object.is(through<unknown>(msgpackCodec, -0), 0))
    assert.equal(through<unknown>(msgpackCodec, '\ud800'), '\ufffd'.repeat(3))
    assert.deepStrictEqual(through<unknown>(msgpackCodec, withHole()), [1, undefined, 3])
    assert.deepStrictEqual(through<unknown>(msgpackCodec, JSON.parse('{"__proto__":1}')), { __proto_: 1 })
    assert.deepStrictEqual(through<unknown>(msgpackCodec, new Point()), { x: 1 })
  })
  test('refuses functions, symbols and cycles', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    assert.throws(() => msgpackCodec().encode(() => 1), unencodable)
    assert.throws(() => msgpackCodec().encode({ f: () => 1 }), unencodable)
    assert.throws(() => msgpackCodec().encode(Symbol('a')), /symbol/)
    assert.throws(() => msgpackCodec().encode(cycle), RangeError)
  })
  test('reads no further than the bytes that it is given', () => {
    const codec = msgpackCodec()
    const encoded = codec.encode({ text: 'a string of more than 32 characters, for the native addon' })
    // 0xa5: a string of five bytes follows, if anybody looked.
    const inside = Buffer.concat([Buffer.of(0xa5, 1), encoded, Buffer.of(0xa5, 0xbf, 0xa5, 0xa5)])
    const view = inside.subarray(2, 2 + encoded.length)
    assert.deepStrictEqual(codec.decode(view), codec.decode(encoded))
  })
})

describe('the raw codec', () => {
  test('keeps bytes, and gives them back as a Buffer of its own', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        assert.deepStrictEqual(through<Uint8Array>(rawCodec, bytes), Buffer.from(bytes))
        assert.deepStrictEqual(through<Uint8Array>(rawCodec, Buffer.from(bytes)), Buffer.from(bytes))
      }),
    )
  })
  test('refuses strings and everything else that is no bytes', () => {
    const codec = rawCodec() as Codec
    for (const value of [
      'text',
      undefined,
      null,
      1,
      [1],
      new ArrayBuffer(1),
      new Uint16Array(1),
      new DataView(new ArrayBuffer(1)),
    ])
      assert.throws(() => codec.encode(value), {
        ...unencodable,
        message: /takes a Uint8Array or a Buffer, and got \w+$/,
      })
  })
})
