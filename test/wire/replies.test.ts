// ReplyWriter and ReplyParser: what is written in RESP2 or RESP3 is read back the same however it is cut; malformed
// replies are refused, not thrown over.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { INT64_MAX, INT64_MIN } from '../../src/base/bytes.ts'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import type { ReplyParserOptions } from '../../src/wire/reply-parser.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import { ReplyError, VerbatimText } from '../../src/wire/reply.ts'
import type { Reply } from '../../src/wire/reply.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

/** A reply as the writer is told of it. */
type Told =
  | { kind: 'simple' | 'error' | 'text' | 'verbatim'; text: string }
  | { kind: 'integer'; n: number | bigint }
  | { kind: 'bulk'; bytes: Uint8Array }
  | { kind: 'nil' | 'nilArray' }
  | { kind: 'double'; x: number }
  | { kind: 'boolean'; b: boolean }
  | { kind: 'array' | 'set'; items: Told[] }
  | { kind: 'map'; pairs: [Told, Told][] }

function write(out: ReplyWriter, told: Told): void {
  switch (told.kind) {
    case 'simple':
    case 'error':
    case 'text':
      return out[told.kind](told.text)
    case 'verbatim':
      return out.verbatim('txt', told.text)
    case 'integer':
      return out.integer(told.n)
    case 'bulk':
      return out.bulk(told.bytes)
    case 'nil':
    case 'nilArray':
      return out[told.kind]()
    case 'double':
      return out.double(told.x)
    case 'boolean':
      return out.boolean(told.b)
    case 'array':
    case 'set':
      out[told.kind](told.items.length)
      for (const item of told.items) write(out, item)
      return
    case 'map':
      out.map(told.pairs.length)
      for (const pair of told.pairs) for (const side of pair) write(out, side)
  }
}

const oneLine = (text: string): string => text.replace(/[\r\n]/g, ' ')
const doubleText = (x: number): string =>
  Number.isNaN(x) ? 'nan' : x === Infinity ? 'inf' : x === -Infinity ? '-inf' : Object.is(x, -0) ? '-0' : String(x)

/** What an exact ReplyParser should read. */
function expected(told: Told, resp: 2 | 3): Reply {
  switch (told.kind) {
    case 'simple':
      return oneLine(told.text)
    case 'error':
      return new ReplyError(oneLine(told.text))
    case 'text':
      return Buffer.from(told.text)
    case 'verbatim':
      return resp === 3 ? new VerbatimText('txt', Buffer.from(told.text)) : Buffer.from(told.text)
    case 'integer':
      return BigInt(told.n)
    case 'bulk':
      return Buffer.from(told.bytes)
    case 'nil':
    case 'nilArray':
      return null
    case 'double':
      return resp === 3 ? told.x : Buffer.from(doubleText(told.x))
    case 'boolean':
      return resp === 3 ? told.b : told.b ? 1n : 0n
    case 'array':
      return told.items.map(item => expected(item, resp))
    case 'set': {
      const items = told.items.map(item => expected(item, resp))
      return resp === 3 ? new Set(items) : items
    }
    case 'map': {
      const pairs = told.pairs.map(([key, value]) => [expected(key, resp), expected(value, resp)] as const)
      return resp === 3 ? new Map(pairs) : pairs.flat()
    }
  }
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('OK', 'ERR a\r\nb', 'é\r\nü', ''),
)
const anyNumber = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.bigInt({ min: INT64_MIN, max: INT64_MAX }))
const { told: anyTold } = fc.letrec<{ told: Told }>(tie => ({
  told: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constantFrom('simple', 'error', 'text', 'verbatim'), text: anyText }),
    fc.record({ kind: fc.constant('integer'), n: anyNumber }),
    fc.record({
      kind: fc.constant('bulk'),
      bytes: fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ size: 'large' })),
    }),
    fc.record({ kind: fc.constantFrom('nil', 'nilArray') }),
    fc.record({ kind: fc.constant('double'), x: fc.double() }),
    fc.record({ kind: fc.constant('boolean'), b: fc.boolean() }),
    fc.record({ kind: fc.constantFrom('array', 'set'), items: fc.array(tie('told'), { maxLength: 5 }) }),
    fc.record({ kind: fc.constant('map'), pairs: fc.array(fc.tuple(tie('told'), tie('told')), { maxLength: 4 }) }),
  ) as fc.Arbitrary<Told>,
}))

function readAll(input: Buffer, pieces: readonly number[], options: Partial<ReplyParserOptions> = {}) {
  const replies: Reply[] = []
  const pushes: Reply[][] = []
  const parser = new ReplyParser({
    ...options,
    onReply: reply => replies.push(reply),
    onPush: push => pushes.push(push),
  })
  for (let at = 0, turn = 0; at < input.length; turn++) {
    const size = pieces.length === 0 ? input.length : pieces[Math.min(turn, pieces.length - 1)]!
    // The parser may not keep the chunk: it is overwritten at once.
    const chunk = Buffer.from(input.subarray(at, at + size))
    if (!parser.push(chunk)) break
    chunk.fill(0x2a)
    at += size
  }
  return { replies, pushes, error: parser.error }
}

function written(resp: 2 | 3, fill: (out: ReplyWriter) => void, initialBytes = 16): Buffer {
  const out = new ReplyWriter(initialBytes)
  out.resp = resp
  fill(out)
  return Buffer.from(out.buffer.subarray(0, out.length))
}

const read = (input: string, options?: Partial<ReplyParserOptions>) =>
  readAll(Buffer.from(input, 'latin1'), [], options)

test('what the writer writes is read back the same, however it is cut', () => {
  const anyPieces = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(
      fc.array(anyTold, { maxLength: 6 }),
      fc.constantFrom(2 as const, 3 as const),
      anyPieces,
      (all, resp, pieces) => {
        const bytes = written(resp, out => all.forEach(told => write(out, told)))
        const replies = all.map(told => expected(told, resp))
        for (const cuts of [[], pieces, [1]]) {
          assert.deepEqual(readAll(bytes, cuts, { exact: true }), { replies, pushes: [], error: '' })
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('each reply is on the wire as Redis writes it', () => {
  const cases: [write: (out: ReplyWriter) => void, resp2: string, resp3: string][] = [
    [out => out.simple('OK'), '+OK\r\n', '+OK\r\n'],
    [out => out.error('ERR no\r\nway'), '-ERR no  way\r\n', '-ERR no  way\r\n'],
    [out => out.integer(-10), ':-10\r\n', ':-10\r\n'],
    [out => out.integer(9), ':9\r\n', ':9\r\n'],
    [out => out.integer(Number.MAX_SAFE_INTEGER), ':9007199254740991\r\n', ':9007199254740991\r\n'],
    [out => out.integer(INT64_MIN), ':-9223372036854775808\r\n', ':-9223372036854775808\r\n'],
    [out => out.bulk(Buffer.from('abcdef'), 1, 4), '$3\r\nbcd\r\n', '$3\r\nbcd\r\n'],
    [out => out.text('é'), '$2\r\n\xc3\xa9\r\n', '$2\r\n\xc3\xa9\r\n'],
    [out => out.nil(), '$-1\r\n', '_\r\n'],
    [out => out.nilArray(), '*-1\r\n', '_\r\n'],
    [out => out.array(2), '*2\r\n', '*2\r\n'],
    [out => out.map(2), '*4\r\n', '%2\r\n'],
    [out => out.set(2), '*2\r\n', '~2\r\n'],
    [out => out.push(2), '*2\r\n', '>2\r\n'],
    [out => out.double(1.5), '$3\r\n1.5\r\n', ',1.5\r\n'],
    [out => out.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
    [out => out.double(NaN), '$3\r\nnan\r\n', ',nan\r\n'],
    [out => out.boolean(true), ':1\r\n', '#t\r\n'],
    [out => out.verbatim('txt', 'ab'), '$2\r\nab\r\n', '=6\r\ntxt:ab\r\n'],
  ]
  for (const [fill, resp2, resp3] of cases) {
    assert.equal(written(2, fill).toString('latin1'), resp2)
    assert.equal(written(3, fill).toString('latin1'), resp3)
  }
})

test('beginBulk leaves room for the value, truncate takes it back, reserve keeps the buffer', () => {
  const out = new ReplyWriter(8)
  out.simple('OK')
  const { length } = out
  for (let attempt = 0; attempt < 2; attempt++) {
    out.truncate(length)
    const at = out.beginBulk(100)
    out.buffer.fill(0x61 + attempt, at, at + 100)
  }
  assert.equal(out.buffer.toString('latin1', 0, out.length), `+OK\r\n$100\r\n${'b'.repeat(100)}\r\n`)
  out.reserve(5_000)
  const { buffer } = out
  for (let i = 0; i < 4_900; i++) out.buffer[out.length++] = 0
  assert.equal(out.buffer, buffer)
})

test('recycle gives a large buffer back and keeps a small one; detach leaves what was written alone', () => {
  const out = new ReplyWriter(64)
  const { buffer } = out
  out.simple('OK')
  out.recycle()
  assert.equal(out.buffer, buffer)
  out.bulk(Buffer.alloc(1_000))
  assert.ok(out.buffer.length >= 1_000)
  out.recycle()
  assert.equal(out.buffer.length, 64)
  out.simple('OK')
  const detached = out.detach()
  out.simple('NO')
  assert.equal(detached.toString(), '+OK\r\n')
})

test('pushes and attributes do not count as replies', () => {
  const attributes: Map<Reply, Reply>[] = []
  const { replies, pushes } = read(
    '>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n>1\r\n+x\r\n+OK\r\n',
    {
      onAttribute: attribute => attributes.push(attribute),
    },
  )
  assert.deepEqual(replies, [[1, 2], 'OK'])
  assert.deepEqual(pushes, [['invalidate', ['k']], ['x']])
  assert.deepEqual(attributes, [new Map([['ttl', 3]])])
})

test('values are plain unless exact ones are asked for', () => {
  const input =
    ':1\r\n:9007199254740993\r\n$1\r\na\r\n=5\r\ntxt:b\r\n(12345678901234567890123\r\n!5\r\nERR x\r\n,1e3\r\n*0\r\n%0\r\n~0\r\n'
  const common = [12345678901234567890123n, new ReplyError('ERR x'), 1000, [], new Map(), new Set()]
  assert.deepEqual(read(input).replies, [1, 9007199254740993n, 'a', 'b', ...common])
  const exact = [1n, 9007199254740993n, Buffer.from('a'), new VerbatimText('txt', Buffer.from('b')), ...common]
  assert.deepEqual(read(input, { exact: true }).replies, exact)
  assert.equal(new ReplyError('WRONGTYPE Operation').code, 'WRONGTYPE')
})

test('malformed replies end the stream with a reason', () => {
  const inputs = [
    '?1\r\n',
    ':\r\n',
    ':1a\r\n',
    ':9223372036854775808\r\n',
    ':+-1\r\n',
    '$-2\r\n',
    '$x\r\n',
    '$1\r\nabc',
    '*-2\r\n',
    '*a\r\n',
    '%-1\r\n',
    '#x\r\n',
    ',x\r\n',
    '(1.5\r\n',
    '_x\r\n',
    '=3\r\ntxt\r\n',
    '$99999999999\r\n',
    '*1\r\n>1\r\n',
    '\r\n',
  ]
  for (const input of inputs) {
    const { error } = read(`+OK\r\n${input}`)
    assert.match(error, /^malformed reply: /, JSON.stringify(input))
  }
  const parser = new ReplyParser({ onReply: () => assert.fail('nothing is read after an error') })
  assert.equal(parser.push(Buffer.from('?\r\n+OK\r\n')), false)
  assert.equal(parser.push(Buffer.from('+OK\r\n')), false)
})

test('depth and sizes of replies are bounded', () => {
  assert.deepEqual(read('*1\r\n*1\r\n*0\r\n', { depthMax: 3 }).replies, [[[[]]]])
  assert.match(read('*1\r\n*1\r\n*1\r\n*0\r\n', { depthMax: 3 }).error, /depth/)
  assert.match(read('*1\r\n'.repeat(1_000_000)).error, /depth/)
  assert.match(read('$11\r\n', { bulkBytesMax: 10 }).error, /bulk length/)
  assert.match(read(`+${'a'.repeat(1_048_577)}`).error, /line/)
})

test('a long stream of replies is read whole, whatever the chunks, as its buffer moves and grows', () => {
  const replies = Array.from({ length: 3_000 }, (_, i) => 'x'.repeat((i * 37) % 301))
  const bytes = written(2, out => replies.forEach(reply => out.simple(reply)))
  for (const size of [1, 97, 1_000, 4_095, 4_096, 4_097, 70_000]) {
    assert.deepEqual(readAll(bytes, [size]).replies, replies, `chunks of ${size}`)
  }
})

test('a reply of many megabytes is read from its chunks', () => {
  const value = Buffer.alloc(20_000_000, 'v')
  const bytes = written(2, out => out.bulk(value))
  const { replies } = readAll(bytes, [65_536], { exact: true })
  assert.ok(value.equals(replies[0] as Buffer))
})

test('random bytes never make the reply parser throw or loop, and cutting them changes nothing', () => {
  const parts = [
    '*',
    '$',
    ':',
    '%',
    '~',
    '>',
    '|',
    '(',
    ',',
    '#',
    '_',
    '=',
    '!',
    '+',
    '-',
    '\r\n',
    '\r',
    '\n',
    '0',
    '1',
    '2',
    'a',
    't',
    '*1\r\n',
    '%1\r\n',
    ':1\r\n',
    '$1\r\na\r\n',
    '|1\r\n',
    '>1\r\n',
  ]
  const anyInput = fc.array(fc.constantFrom(...parts), { maxLength: 30 }).map(some => Buffer.from(some.join('')))
  fc.assert(
    fc.property(anyInput, fc.boolean(), (input, exact) => {
      assert.deepEqual(readAll(input, [1], { exact }), readAll(input, [], { exact }))
    }),
    { numRuns: 3000 },
  )
})
