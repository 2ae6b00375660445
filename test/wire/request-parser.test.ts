// The request parser: any pipeline cut anywhere gives the same arguments, malformed input is answered as Redis does, bounds hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { NEED_MORE, PROTOCOL_ERROR, RequestParser } from '../../src/wire/request-parser.ts'
import type { RequestParserOptions } from '../../src/wire/request-parser.ts'
import { almostProtocol } from './almost-protocol.ts'

interface Outcome {
  readonly requests: Buffer[][]
  readonly error: string
  /** Bytes of a request that is not complete. */
  readonly left: number
}

function argumentsOf(parser: RequestParser): Buffer[] {
  const found: Buffer[] = []
  for (let i = 0; i < parser.argc; i++) found.push(Buffer.from(parser.buffer.subarray(parser.start[i], parser.end[i])))
  return found
}

/**
 * Feeds `input` in pieces of the given sizes (the last repeated), moving the cut request to another offset of another
 * buffer each time, with rubbish before and after it, as a receive buffer has.
 */
function parseAll(input: Buffer, pieces: readonly number[], parser: RequestParser): Outcome {
  const requests: Buffer[][] = []
  let pending = Buffer.alloc(0)
  for (let fed = 0, turn = 0; fed < input.length; turn++) {
    const size = pieces.length === 0 ? input.length : pieces[Math.min(turn, pieces.length - 1)]!
    const offset = (turn * 7) % 11
    const arrived = Buffer.concat([pending, input.subarray(fed, fed + size)])
    fed += size
    const buffer = Buffer.concat([Buffer.alloc(offset, '\r\n*1$'), arrived, Buffer.from('\r\n$1\r\n*')])
    const end = offset + arrived.length
    let at = offset
    while (at < end) {
      const next = parser.parse(buffer, at, end)
      if (next === PROTOCOL_ERROR) return { requests, error: parser.error, left: 0 }
      if (next === NEED_MORE) {
        assert.ok(parser.bytesNeeded > end - at, 'a cut request needs more than there is')
        break
      }
      assert.ok(next > at && next <= end, 'a request takes bytes, and only those that are there')
      requests.push(argumentsOf(parser))
      at = next
    }
    pending = buffer.subarray(at, end)
  }
  return { requests, error: '', left: pending.length }
}

const parse = (input: string | Buffer, options?: RequestParserOptions, pieces: readonly number[] = []): Outcome =>
  parseAll(typeof input === 'string' ? Buffer.from(input, 'latin1') : input, pieces, new RequestParser(options))

const words = (outcome: Outcome): string[][] =>
  outcome.requests.map(request => request.map(arg => arg.toString('latin1')))

function encode(request: readonly Uint8Array[]): Buffer {
  const parts: (Buffer | Uint8Array)[] = [Buffer.from(`*${request.length}\r\n`)]
  for (const arg of request) parts.push(Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n'))
  return Buffer.concat(parts)
}

const anyArgument = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 24 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '\r\n', '$3\r\n', '*2\r\n$1\r\n').map(text => new Uint8Array(Buffer.from(text))),
  },
  { weight: 1, arbitrary: fc.integer({ min: 90, max: 1100 }).map(length => new Uint8Array(length).fill(0x0d)) },
)
const anyRequest = fc.oneof(
  { weight: 5, arbitrary: fc.array(anyArgument, { minLength: 1, maxLength: 6 }) },
  { weight: 1, arbitrary: fc.array(anyArgument, { minLength: 9, maxLength: 40 }) },
)
const anyPieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 })

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

test('any pipeline of requests, cut at any bytes, gives the same arguments', () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 8 }), anyPieces, (pipeline, pieces) => {
      const input = Buffer.concat(pipeline.map(encode))
      const whole = parse(input)
      assert.deepEqual(whole, {
        requests: pipeline.map(request => request.map(arg => Buffer.from(arg))),
        error: '',
        left: 0,
      })
      assert.deepEqual(parse(input, {}, pieces), whole)
      assert.deepEqual(parse(input, {}, [1]), whole)
    }),
    { numRuns: 300 },
  )
})

test('malformed and mutated input never throws or loops, and cutting it changes nothing', () => {
  const mutated = fc
    .tuple(
      fc.array(anyRequest, { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    )
    .map(([pipeline, changes]) => {
      const input = Buffer.concat(pipeline.map(encode))
      for (const [at, byte] of changes) input[at % input.length] = byte
      return input.toString('latin1')
    })
  const small: RequestParserOptions = {
    argumentsMax: 12,
    argumentBytesMax: 200,
    inlineBytesMax: 20,
    requestBytesMax: 400,
  }
  fc.assert(
    fc.property(
      fc.oneof(almostProtocol(['\0', '\x80']), mutated),
      anyPieces,
      fc.boolean(),
      fc.boolean(),
      (input, pieces, bounded, known) => {
        const run = (cuts: readonly number[]): Outcome => {
          const parser = new RequestParser(bounded ? small : {})
          parser.authenticated = known
          return parseAll(Buffer.from(input, 'latin1'), cuts, parser)
        }
        const whole = run([])
        assert.match(whole.error, /^$|^ERR Protocol error: (too big|invalid|expected|unauthenticated|unbalanced)/)
        assert.deepEqual(run(pieces), whole)
        assert.deepEqual(run([1]), whole)
      },
    ),
    { numRuns: 2000 },
  )
})

test('inline requests follow the quoting rules of Redis', () => {
  const cases: [line: string, ...args: string[]][] = [
    ['PING\r\n', 'PING'],
    ['  set\ta \v b\n', 'set', 'a', 'b'],
    ['set a "b c"\r\n', 'set', 'a', 'b c'],
    [String.raw`set "\x41\x4g\n\r\t\b\a\q\"\\" ''` + '\r\n', 'set', 'Ax4g\n\r\t\b\x07q"\\', ''],
    [String.raw`set 'it\'s \n' a"b"` + '\r\n', 'set', "it's \\n", 'ab'],
    ['set "" a\\nb\r\n', 'set', '', 'a\\nb'],
    ['a\vb\r\n', 'a\vb'],
    ['a\r b\r\n', 'a', 'b'],
  ]
  for (const [line, ...args] of cases) assert.deepEqual(words(parse(line)), [args], JSON.stringify(line))
  for (const line of ['set "a', 'set "a\\', "set 'a", 'set "a"b', "set 'a'b", "set 'a\\'"]) {
    assert.equal(parse(`${line}\r\n`).error, 'ERR Protocol error: unbalanced quotes in request', line)
  }
})

test('an inline request between others leaves the buffer that was given as it was', () => {
  const input = Buffer.from('*1\r\n$4\r\nPING\r\nset "\\x41" b\r\n*1\r\n$4\r\nECHO\r\n')
  const before = Buffer.from(input)
  assert.deepEqual(words(parse(input)), [['PING'], ['set', 'A', 'b'], ['ECHO']])
  assert.deepEqual(input, before)
})

test('empty requests have no arguments', () => {
  assert.deepEqual(words(parse('*0\r\n\r\n\n  \r\n*-1\r\n*-99999999999999999\r\nPING\r\n')), [
    [],
    [],
    [],
    [],
    [],
    [],
    ['PING'],
  ])
})

test('each malformed request gets the text of Redis', () => {
  const cases: Record<string, readonly string[]> = {
    'invalid multibulk length': [
      '*a\r\n',
      '*\r\n',
      '*01\r\n',
      '*-0\r\n',
      '*+1\r\n',
      '*1048577\r\n',
      '*99999999999999999999\r\n',
      '* 1\r\n',
      '*1 \r\n',
      '*-99999999999999999999\r\n',
    ],
    'invalid bulk length': [
      '*1\r\n$a\r\n',
      '*1\r\n$\r\n',
      '*1\r\n$-1\r\n',
      '*1\r\n$01\r\n',
      '*1\r\n$67174401\r\n',
      '*1\r\n$99999999999999999999\r\n',
    ],
    "expected '$', got 'x'": ['*1\r\nx1\r\n', '*12\r\nxyz\r\n'],
    "expected '$', got '\r'": ['*1\r\n\r\n'],
    "expected '$', got ':'": ['*2\r\n$3\r\nGET\r\n:1\r\n'],
    'unbalanced quotes in request': ['get "\r\n'],
    'too big inline request': ['a'.repeat(65_537), `${'a'.repeat(65_537)}\n`],
    'too big mbulk count string': [`*${'1'.repeat(65_536)}`],
    'too big bulk count string': [`*1\r\n$${'1'.repeat(65_536)}`],
  }
  for (const [text, inputs] of Object.entries(cases)) {
    for (const input of inputs)
      assert.equal(parse(input).error, `ERR Protocol error: ${text}`, JSON.stringify(input.slice(0, 50)))
  }
  const waiting = [
    'a'.repeat(65_536),
    `*${'1'.repeat(65_535)}`,
    `*1\r\n$${'1'.repeat(65_535)}`,
    '*1',
    '*1\r',
    '*1\r\n',
    '*1\r\nx',
    '*1\r\n$1\r',
  ]
  for (const input of waiting) assert.deepEqual(parse(input), { requests: [], error: '', left: input.length })
})

test('before authentication the bounds are those of Redis', () => {
  const run = (input: string): Outcome => {
    const parser = new RequestParser()
    parser.authenticated = false
    return parseAll(Buffer.from(input), [], parser)
  }
  assert.equal(run('*10\r\n').error, '')
  assert.equal(run('*11\r\n').error, 'ERR Protocol error: unauthenticated multibulk length')
  assert.equal(run('*1\r\n$16384\r\n').error, '')
  assert.equal(run('*1\r\n$16385\r\n').error, 'ERR Protocol error: unauthenticated bulk length')
  assert.equal(run('*1\r\n$67174401\r\n').error, 'ERR Protocol error: invalid bulk length')
})

test('the bounds are exact', () => {
  const options = { argumentsMax: 3, argumentBytesMax: 5, inlineBytesMax: 8, requestBytesMax: 40 }
  assert.equal(parse('*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n', options).requests.length, 1)
  assert.equal(parse('*4\r\n', options).error, 'ERR Protocol error: invalid multibulk length')
  assert.equal(parse('*1\r\n$5\r\nabcde\r\n', options).requests.length, 1)
  assert.equal(parse('*1\r\n$6\r\n', options).error, 'ERR Protocol error: invalid bulk length')
  assert.equal(parse('a bbbbbb\n', options).requests.length, 1)
  assert.equal(parse('a bbbbbbb\n', options).error, 'ERR Protocol error: too big inline request')
  assert.equal(parse('a b c d\n', options).error, 'ERR Protocol error: too big inline request')
  const threeOfFive = '*3\r\n$5\r\naaaaa\r\n$5\r\nbbbbb\r\n$5\r\nccccc\r\n'
  assert.equal(threeOfFive.length, 37)
  assert.equal(parse(threeOfFive, { ...options, requestBytesMax: 37 }).requests.length, 1)
  assert.equal(
    parse(threeOfFive, { ...options, requestBytesMax: 36 }).error,
    'ERR Protocol error: too big request, more than 36 bytes',
  )
})

test('a request of the most arguments, arriving in pieces, is parsed; its count alone takes no memory', () => {
  const parser = new RequestParser()
  const head = Buffer.from(`*${limits.argumentsMax}\r\n`)
  assert.equal(parser.parse(head, 0, head.length), NEED_MORE)
  assert.ok(parser.start.length <= 16)
  parser.reset()
  const input = Buffer.concat([head, Buffer.from('$1\r\nx\r\n'.repeat(limits.argumentsMax))])
  let next: number = NEED_MORE
  for (let end = 0; next === NEED_MORE;) {
    end = Math.min(input.length, end + 65_536)
    next = parser.parse(input, 0, end)
  }
  assert.equal(next, input.length)
  assert.equal(parser.argc, limits.argumentsMax)
  assert.equal(
    parser.buffer.toString('latin1', parser.start[limits.argumentsMax - 1], parser.end[limits.argumentsMax - 1]),
    'x',
  )
  parser.reset()
  assert.ok(parser.start.length <= 16)
})

test('a cut request is not read again from its beginning at every chunk', () => {
  // Counts how often bytes are read, through a proxy that stands for the buffer.
  let reads = 0
  const counting = (bytes: Buffer): Buffer =>
    new Proxy(bytes, {
      get: (target, key) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++
        return Reflect.get(target, key, target) as unknown
      },
    })
  const inputs = [
    `*500\r\n${'$1\r\nx\r\n'.repeat(500)}`,
    `${'a'.repeat(3500)}\r\n`,
    `*${'9'.repeat(3500)}`,
    `*1\r\n$${'9'.repeat(3500)}`,
  ]
  for (const text of inputs) {
    reads = 0
    const input = Buffer.from(text)
    const parser = new RequestParser()
    const proxy = counting(input)
    for (let end = 1; end <= input.length; end++) parser.parse(proxy, 0, end)
    // One byte a call: what was in progress (a line or an argument of a few bytes) may be looked at again each time.
    assert.ok(reads < 30 * input.length, `${reads} reads of ${input.length} bytes: ${text.slice(0, 20)}`)
  }
})

test('bytesNeeded announces a large argument as soon as its length is known', () => {
  const parser = new RequestParser()
  const input = Buffer.from('*2\r\n$3\r\nSET\r\n$1000000\r\nabc')
  assert.equal(parser.parse(input, 0, input.length), NEED_MORE)
  assert.equal(parser.bytesNeeded, input.length - 3 + 1_000_000 + 2)
})

test('reset forgets a cut request', () => {
  const parser = new RequestParser()
  const cut = Buffer.from('*2\r\n$3\r\nGET\r\n$5\r\nab')
  assert.equal(parser.parse(cut, 0, cut.length), NEED_MORE)
  parser.reset()
  const next = Buffer.from('PING\r\n')
  assert.equal(parser.parse(next, 0, next.length), next.length)
  assert.deepEqual(argumentsOf(parser), [Buffer.from('PING')])
})
