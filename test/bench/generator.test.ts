// The load generator's own parts: what it counts as a reply, wherever the bytes are cut, and which bytes it sends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ReplyCounter } from '../../bench/generator/reply-counter.ts'
import { Requests } from '../../bench/generator/requests.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const resp = ['+OK\r\n', '$3\r\na\nb\r\n', '$-1\r\n', ':-12\r\n', '$0\r\n\r\n', '+PONG\r\n']
const memcached = ['STORED\r\n', 'VALUE key:12 0 3\r\nEND\r\nEND\r\n', 'END\r\n', 'MN\r\n']

test('replies are counted once each, wherever their bytes are cut', () => {
  for (const [protocol, replies] of [
    ['resp', resp],
    ['memcached', memcached],
  ] as const) {
    fc.assert(
      fc.property(fc.array(fc.nat(replies.length - 1)), fc.array(fc.integer({ min: 1, max: 9 })), (chosen, cuts) => {
        const bytes = Buffer.from(chosen.map(i => replies[i]!).join(''))
        const counter = new ReplyCounter(protocol)
        let counted = 0
        let at = 0
        for (const cut of cuts) counted += counter.feed(bytes.subarray(at, (at += cut)))
        counted += counter.feed(bytes.subarray(at))
        assert.equal(counted, chosen.length)
        assert.equal(counter.misses, chosen.filter(i => replies[i] === '$-1\r\n' || replies[i] === 'END\r\n').length)
      }),
    )
  }
})

test('an error reply ends the load', () => {
  for (const text of ['-ERR no\r\n', '-MOVED 1 2\r\n']) {
    assert.throws(() => new ReplyCounter('resp').feed(Buffer.from(text)), /answered with an error/)
  }
  for (const text of ['ERROR\r\n', 'SERVER_ERROR out of memory\r\n', 'CLIENT_ERROR bad\r\n', 'NOT_STORED\r\n']) {
    assert.throws(() => new ReplyCounter('memcached').feed(Buffer.from(text)), /answered with an error/)
  }
})

test('requests carry the key as redis-benchmark writes it, and a mix takes turns', () => {
  const bytes = (requests: Requests, keys: readonly number[]): string => {
    const out = Buffer.alloc(requests.bytesMax * keys.length)
    let at = 0
    for (const key of keys) at = requests.write(out, at, key)
    return out.toString('latin1', 0, at)
  }
  assert.equal(
    bytes(new Requests('resp', 'mix', 'key:', 'vv'), [42, 9_999_999, 0]),
    '*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n' +
      '*3\r\n$3\r\nSET\r\n$16\r\nkey:000009999999\r\n$2\r\nvv\r\n' +
      '*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n',
  )
  assert.equal(bytes(new Requests('memcached', 'set', 'k:', 'vv'), [7]), 'set k:000000000007 0 0 2\r\nvv\r\n')
})
