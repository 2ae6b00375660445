// Glob patterns: what they match, that no pattern takes exponential time, and that the real redis-server agrees.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { globMatches } from '../../src/base/glob.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { plain } from '../support/call.ts'
import { rawReplies } from '../support/raw-replies.ts'
import { startRedis } from '../support/redis-server.ts'
import type { RedisServer } from '../support/redis-server.ts'

function matches(pattern: string, text: string): boolean {
  return globMatches(Buffer.from(pattern, 'latin1'), Buffer.from(text, 'latin1'))
}

const PATTERN_BYTES = '**??[]^-\\aabbcc'
const TEXT_BYTES = 'abc]^-\\'

function randomText(random: Random, bytes: string, most: number): string {
  return Array.from({ length: random.below(most + 1) }, () => bytes[random.below(bytes.length)]).join('')
}

describe('glob patterns', () => {
  test('match as Redis documents them', () => {
    for (const [pattern, text, expected] of [
      ['', '', true],
      ['', 'a', false],
      ['a', '', false],
      ['*', 'anything', true],
      ['h?llo', 'hello', true],
      ['h?llo', 'hllo', false],
      ['h*llo', 'hllo', true],
      ['h*llo', 'heeeello', true],
      ['h[ae]llo', 'hallo', true],
      ['h[ae]llo', 'hillo', false],
      ['h[^e]llo', 'hallo', true],
      ['h[^e]llo', 'hello', false],
      ['h[a-b]llo', 'hbllo', true],
      ['h[b-a]llo', 'hallo', true],
      ['h[a-b]llo', 'hcllo', false],
      ['h\\*llo', 'h*llo', true],
      ['h\\*llo', 'hello', false],
      ['[\\]]', ']', true],
      ['[a-]]', 'b', false],
      ['[A-]]', 'B', true],
      ['a\\', 'a\\', true],
      ['[abc', 'b', true],
      ['[^', 'x', true],
      ['a*b*c', 'a-b-b-c', true],
      ['a*b*c', 'a-b-b-c-', false],
      ['*a*', 'b', false],
      ['a**', 'a', true],
      ['*?', 'a', true],
      ['*??', 'a', false],
      ['\xff[\x80-\xf0]', '\xff\x90', true],
      ['A', 'a', false],
    ] as const) {
      assert.equal(matches(pattern, text), expected, `${JSON.stringify(pattern)} on ${JSON.stringify(text)}`)
    }
  })

  test('many stars take time in proportion to pattern and text, not to their powers', () => {
    // With backtracking over every star this would not end in a lifetime.
    assert.equal(matches(`${'a*'.repeat(5_000)}b`, 'a'.repeat(20_000)), false)
    assert.equal(matches('*a'.repeat(2_000), 'a'.repeat(20_000)), true)
  })
})

describe('glob patterns, compared with the real redis-server', () => {
  let redis: RedisServer | undefined
  before(async () => {
    redis = await startRedis()
  })
  after(async () => {
    await redis?.stop()
  })

  test('random patterns match the same keys', async t => {
    if (redis === undefined) return t.skip('redis-server is not installed')
    const seed = Number(process.env['TIDEMARK_SEED'] ?? 1)
    const random = seededRandom(seed)
    const texts = [...new Set(Array.from({ length: 200 }, () => randomText(random, TEXT_BYTES, 5)))]
    const patterns = Array.from({ length: 3_000 }, () => randomText(random, PATTERN_BYTES, 8))
    const commands = [...texts.map(text => ['SET', text, '1']), ...patterns.map(pattern => ['KEYS', pattern])]
    const replies = (await rawReplies(redis.port, commands)).slice(texts.length)
    let matched = 0
    for (const [i, pattern] of patterns.entries()) {
      // KEYS does not ask the pattern when it is a single star.
      if (pattern === '*') continue
      const theirs = (plain(replies[i]!) as string[]).sort()
      const ours = texts.filter(text => matches(pattern, text)).sort()
      assert.deepEqual(ours, theirs, `TIDEMARK_SEED=${seed}: pattern ${JSON.stringify(pattern)}`)
      matched += ours.length
    }
    assert.ok(matched > 1_000, `the patterns match something: ${matched}`)
  })
})
