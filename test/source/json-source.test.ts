// Rows as JSON and as objects: which numbers stay numbers, what is refused rather than changed silently, and who waits for calls
// that are under way. Not for: what databases make of it (test/library).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { JsonSource, rowFromJson, rowToJson } from '../../src/source/json-source.ts'
import type { LoadResult, Source } from '../../src/source/source.ts'

const read = (text: string) => rowFromJson(Buffer.from(text))
const written = (value: unknown) => Buffer.from(rowToJson('k:1', value)).toString()

function refused(value: unknown, message: RegExp): void {
  assert.throws(
    () => rowToJson('k:1', value),
    (error: unknown) => error instanceof TidemarkError && error.code === 'ROW_INVALID' && message.test(error.message),
  )
}

void test('integers that a double does not hold come as bigints, other such numbers as text, all others as numbers', () => {
  const row = read('{"a":9007199254740991,"b":9007199254740992,"c":-9223372036854775808,"d":9e999,"e":1e300}')
  assert.deepEqual(row, { a: 2 ** 53 - 1, b: 2n ** 53n, c: -(2n ** 63n), d: Infinity, e: 1e300 })
  for (const exact of [
    '0.30000000000000004',
    '-1234567.1000000000',
    '0.000000000000000120',
    '1.7976931348623157e+308',
  ]) {
    assert.deepEqual(read(`{"n":${exact}}`), { n: Number(exact) })
  }
  for (const longer of [
    '0.1234567890123456789',
    '-12345678.123456789',
    '1234567890123456.10',
    '12345678901234567890.5',
  ]) {
    assert.deepEqual(read(`{"n":${longer}}`), { n: longer })
  }
  assert.deepEqual(
    read('{"t":"12345678901234567890","__proto__":1}'),
    JSON.parse('{"t":"12345678901234567890","__proto__":1}'),
  )
})

void test('bigints are written in full, bytes in base64, dates as text', () => {
  assert.equal(written({ a: 2n ** 63n - 1n, b: -5n }), '{"a":9223372036854775807,"b":-5}')
  const bytes = Uint8Array.of(1, 2, 255)
  assert.equal(written({ a: bytes, b: Buffer.from(bytes), c: bytes.subarray(1) }), '{"a":"AQL/","b":"AQL/","c":"Av8="}')
  assert.equal(written({ at: new Date(0), left: undefined }), '{"at":"1970-01-01T00:00:00.000Z"}')
  assert.deepEqual(read(written({ n: 2n ** 62n + 1n })), { n: 2n ** 62n + 1n })
})

void test('what is no row, and what JSON would make null of, is refused', () => {
  for (const [value, got] of [
    [null, 'null'],
    [[1], 'an array'],
    ['x', 'a string'],
    [undefined, 'a undefined'],
    [5, 'a number'],
  ] as const) {
    // prettier-ignore
    refused(value, new RegExp(`'k:1': a row is an object.*not ${got}`))
  }
  refused({ a: { b: NaN } }, /'k:1' has no JSON: 'b' is NaN/)
  refused({ a: -Infinity }, /'a' is -Infinity/)
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  refused(circle, /has no JSON/)
})

void test('settled waits for what is under way, also for what fails', async () => {
  const gates = [Promise.withResolvers<LoadResult>(), Promise.withResolvers<LoadResult>()]
  let asked = 0
  const rows = { name: 'x', load: () => gates[asked++]!.promise } as unknown as Source
  const source = new JsonSource(rows)
  await source.settled()
  const loads = Promise.allSettled([source.load('k', ['1']), source.load('k', ['2'])])
  let settled = false
  const waiting = source.settled().then(() => (settled = true))
  gates[0]!.reject(new Error('no'))
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(settled, false)
  gates[1]!.resolve({ rows: [null], stamp: {} as LoadResult['stamp'] })
  await waiting
  assert.deepEqual((await loads).map(({ status }) => status), ['rejected', 'fulfilled']) // prettier-ignore
})
