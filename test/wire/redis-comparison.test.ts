// The request parser against the real Redis: the same bytes get the same replies as the requests that we read in them,
// well-formed, followed by the same protocol error. Not compared: NUL bytes (Redis ends lines of C text there).
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import { NEED_MORE, PROTOCOL_ERROR, RequestParser } from '../../src/wire/request-parser.ts'
import { startRedis } from '../support/redis-server.ts'
import { almostProtocol } from './almost-protocol.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const redis = await startRedis()
const locked = await startRedis(['--requirepass', 'secret'])
const skip = redis === undefined ? 'redis-server is not installed' : false
after(async () => {
  await redis?.stop()
  await locked?.stop()
})

/** All that the server replies to `input` until it closes. */
function exchange(port: number, input: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(input))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}

/** The requests that we read in `input`, written anew, and the error reply that ends them, if any. */
function readByUs(input: Buffer, authenticated: boolean): { requests: Buffer; error: string } {
  const parser = new RequestParser()
  parser.authenticated = authenticated
  const requests = new ReplyWriter()
  for (let at = 0; at < input.length;) {
    const next = parser.parse(input, at, input.length)
    if (next === NEED_MORE) break
    if (next === PROTOCOL_ERROR) {
      const error = new ReplyWriter()
      error.error(parser.error)
      return { requests: requests.detach(), error: error.detach().toString('latin1') }
    }
    at = next
    if (parser.argc === 0) continue
    requests.array(parser.argc)
    for (let i = 0; i < parser.argc; i++) requests.bulk(parser.buffer, parser.start[i], parser.end[i])
  }
  return { requests: requests.detach(), error: '' }
}

async function compare(port: number, input: Buffer, authenticated = true): Promise<void> {
  const ours = readByUs(input, authenticated)
  const expected = ours.requests.length > 0 ? await exchange(port, ours.requests) : ''
  const shown = JSON.stringify(input.toString('latin1').slice(0, 200))
  assert.equal(await exchange(port, input), expected + ours.error, shown)
}

test('almost-protocol is answered as Redis answers it', { skip }, async () => {
  await fc.assert(
    fc.asyncProperty(almostProtocol(), text => compare(redis!.port, Buffer.from(text, 'latin1'))),
    { numRuns: 1500 },
  )
})

test('quoted inline requests are read as Redis reads them', { skip }, async () => {
  const parts = [
    '"',
    '"',
    "'",
    "'",
    ' ',
    ' ',
    'a',
    'b',
    '\\',
    '\\x41',
    '\\x4',
    '\\n',
    '\\r',
    '\\t',
    '\\b',
    '\\a',
    '\\q',
    '\t',
    '\v',
    '\f',
    '\r',
  ]
  const line = fc.array(fc.constantFrom(...parts), { maxLength: 14 }).map(some => `echo ${some.join('')}\r\n`)
  await fc.assert(
    fc.asyncProperty(line, text => compare(redis!.port, Buffer.from(text, 'latin1'))),
    { numRuns: 1500 },
  )
})

test('lines without an end, counts and lengths past the bounds are refused as by Redis', { skip }, async () => {
  const inputs = ['a'.repeat(65_536), 'a'.repeat(65_537), `*${'1'.repeat(65_535)}`, `*${'1'.repeat(65_536)}`]
  inputs.push(
    `*1\r\n$${'1'.repeat(65_535)}`,
    `*1\r\n$${'1'.repeat(65_536)}`,
    `*2\r\n$4\r\nECHO\r\n${'x'.repeat(65_537)}`,
  )
  inputs.push('*2147483648\r\n', '*9223372036854775808\r\n', '*-9223372036854775808\r\n', '*-9223372036854775809\r\n')
  inputs.push('*1\r\n$-9223372036854775808\r\n', '*1\r\n$9223372036854775807\r\n')
  for (const input of inputs) await compare(redis!.port, Buffer.from(input))
})

test('before authentication the bounds are those of Redis', { skip }, async () => {
  const inputs = [
    '*10\r\n',
    '*11\r\n',
    '*1\r\n$16384\r\n',
    '*1\r\n$16385\r\n',
    '*1\r\n$-1\r\n',
    '*x\r\n',
    '*-1\r\nPING\r\n',
  ]
  inputs.push(`*2\r\n$4\r\nECHO\r\n$16384\r\n${'a'.repeat(16_384)}\r\n`)
  for (const input of inputs) await compare(locked!.port, Buffer.from(input), false)
})
