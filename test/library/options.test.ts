// Mistakes in options: each message says which option it is, what was got, and what is allowed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTidemark, type KeyspaceOptions, type TidemarkOptions } from '../../src/index.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { sqlite } from '../../src/sqlite.ts'
import { Session } from '../../src/library/session.ts'
import { Functions, open, refused, throwsWith } from './scene.ts'

const circle: Record<string, unknown> = {}
circle['self'] = circle

const wrongTidemarks: Record<string, [unknown, RegExp]> = {
  'not an object': [null, /^options: got null, allowed is an object/],
  'an unknown member': [{ maxStalenes: '1s' }, /^maxStalenes: .*near, maxStaleness/],
  'near, not an object': [{ near: 5 }, /^near: got 5, allowed is an object/],
  'an unknown member of near': [{ near: { max: 1 } }, /^near\.max: .*maxSize, maxEntries/],
  'maxEntries, negative': [
    { near: { maxEntries: -1 } },
    /^near\.maxEntries: got -1, allowed is a whole number from 1 to/,
  ],
  'maxEntries, a fraction': [{ near: { maxEntries: 1.5 } }, /^near\.maxEntries: got 1\.5/],
  'maxEntries, NaN': [{ near: { maxEntries: NaN } }, /^near\.maxEntries: got NaN/],
  'maxEntries, a bigint': [{ near: { maxEntries: 5n } }, /^near\.maxEntries: got 5n/],
  'maxSize, without a unit that is known': [{ near: { maxSize: '5mib' } }, /^near\.maxSize: got '5mib', .*'64mb'/],
  'maxSize, none': [{ near: { maxSize: 0 } }, /^near\.maxSize: got 0/],
  'maxSize, circular': [{ near: { maxSize: circle } }, /^near\.maxSize: got an object/],
  'maxStaleness, a number': [{ maxStaleness: 500 }, /^maxStaleness: got 500, .*'500ms'/],
  'maxStaleness, without a unit': [{ maxStaleness: '500' }, /^maxStaleness: got '500'/],
  whenStale: [{ whenStale: 'wait' }, /^whenStale: got 'wait', allowed is 'source', 'serve', 'fail'/],
  tide: [{ tide: 'yes' }, /^tide: got 'yes', allowed is true or false/],
  'tier, a number': [{ tier: 7 }, /^tier: got 7/],
  'tier, of another scheme': [{ tier: 'http://x' }, /^tier: got 'http:\/\/x', .*valkey:\/\//],
  'tier, with a password': [{ tier: 'http://me:secret@x' }, /^tier: got (?!.*secret)/],
  'tier, of no node': [{ tier: [] }, /^tier: got \[\], allowed is at least one URL/],
  'tier, an unknown member': [{ tier: { url: 'valkey://x', lane: 4 } }, /^tier\.lane: .*lanes/],
  'tier, without lanes': [{ tier: { url: 'valkey://x', lanes: 0 } }, /^tier\.lanes: got 0/],
  'tier, a prefix': [{ tier: { url: 'valkey://x', prefix: '{a}' } }, /^tier\.prefix: got '\{a\}'/],
  encryption: [{ tier: 'valkey://x', encryption: {} }, /./],
}

for (const [what, [options, message]] of Object.entries(wrongTidemarks)) {
  void test(`of createTidemark: ${what}`, async () => {
    const call = () => createTidemark(options as TidemarkOptions)
    if (what === 'encryption') await assert.rejects(call(), { name: 'TidemarkError' })
    else await refused(call, 'OPTION_INVALID', message)
  })
}

const wrongKeyspaces: Record<string, [unknown, RegExp]> = {
  'not an object': [null, /^keyspace 'k': options: got null/],
  'an unknown member': [{ tll: '1s' }, /^keyspace 'k': tll: .*ttl/],
  'source, a string': [{ source: 'users' }, /^keyspace 'k': source: got 'users', .*sqlite\(\).*load/],
  'source, null': [{ source: null }, /^keyspace 'k': source: got null/],
  'source, a database': [{ source: sqlite('x.db') }, /^keyspace 'k': source: got .*table/],
  'source, store is no function': [
    { source: { load: () => new Map(), store: 1 } },
    /^keyspace 'k': source\.store: got 1/,
  ],
  schema: [{ schema: {} }, /^keyspace 'k': schema: got \{\}, .*Standard Schema/],
  ttl: [{ ttl: 10 }, /^keyspace 'k': ttl: got 10/],
  'ttl, null': [{ ttl: null }, /^keyspace 'k': ttl: got null/],
  missingTtl: [{ missingTtl: '10 parsecs' }, /^keyspace 'k': missingTtl: got '10 parsecs'/],
  ttlJitter: [{ ttlJitter: 2 }, /^keyspace 'k': ttlJitter: got 2, allowed is a number from 0 to 1/],
  maxStaleness: [{ maxStaleness: -1 }, /^keyspace 'k': maxStaleness: got -1/],
  whenStale: [{ whenStale: 'never' }, /^keyspace 'k': whenStale: got 'never'/],
  'session, a word': [{ session: 'mine' }, /^keyspace 'k': session: got 'mine', allowed is true, false, or what/],
  'session, without a source': [{ session: true }, /^keyspace 'k': session: got true, .*nothing but for tables/],
  'session, over functions': [
    { session: new Session(), source: { load: () => new Map() } },
    /^keyspace 'k': session: got 'a session', .*without a log/,
  ],
  'session, written behind': [
    { session: true, write: 'behind', source: sqlite('x.db').table('k') },
    /^keyspace 'k': (session|write)/,
  ],
  clone: [{ clone: 'deep' }, /^keyspace 'k': clone: got 'deep', allowed is 'none', 'structured', 'freeze'/],
  codec: [{ codec: 'json' }, /^keyspace 'k': codec: got 'json'/],
  version: [{ version: -1 }, /^keyspace 'k': version: got -1/],
}

for (const [what, [options, message]] of Object.entries(wrongKeyspaces)) {
  void test(`of a keyspace: ${what}`, t => {
    const { tide } = open(t)
    throwsWith(() => tide.keyspace('k', options as KeyspaceOptions<unknown>), 'OPTION_INVALID', message)
    // Nothing was taken by the attempt.
    tide.keyspace('k')
  })
}

void test('names of keyspaces: letters, digits, and a few signs; each once; one is taken', t => {
  const { tide } = open(t)
  for (const name of ['', 'a:b', 'a b', 'é', 'x'.repeat(65), '#tags', 5, undefined, null]) {
    throwsWith(() => tide.keyspace(name as string), 'OPTION_INVALID', /^a keyspace: got .*, allowed is 1 to 64/)
  }
  for (const name of ['a', 'x'.repeat(64), '__proto__', 'constructor', 'A-b_c.9']) tide.keyspace(name)
  throwsWith(() => tide.keyspace('a'), 'OPTION_INVALID', /^keyspace: got 'a', allowed is a name that is not taken yet/)
  throwsWith(() => tide.keyspace('values'), 'OPTION_INVALID', /'values'.*tide\.get/)
})

void test('options of a call are checked too', async t => {
  const { tide } = open(t)
  const users = tide.keyspace('users', { source: new Functions({ 1: 1 }) })
  const bad = (options: object) => () => users.get('1', options)
  await refused(bad({ maxStaleness: '5' }), 'OPTION_INVALID', /^maxStaleness: got '5'/)
  await refused(bad({ whenStale: 'stale' }), 'OPTION_INVALID', /^whenStale: got 'stale'/)
  await refused(
    bad({ session: true }),
    'OPTION_INVALID',
    /^session: got true, allowed is what tide\.session\(\) gives, or false/,
  )
  await refused(() => users.set('1', 1, { session: {} as never }), 'OPTION_INVALID', /^session: got \{\}/)
  await refused(() => users.set('1', 1, { ttl: 5 as never }), 'OPTION_INVALID', /^ttl: got 5/)
  await refused(() => tide.getOrSet('1', () => 1, { ttl: 'x' as never }), 'OPTION_INVALID', /^ttl: got 'x'/)
  await refused(() => tide.set('1', 1, { tags: 'tag' as never }), 'OPTION_INVALID', /^tags: got 'tag'/)
  await refused(() => tide.set('1', 1, { tags: [''] }), 'TAG_INVALID')
  await refused(() => tide.set('1', 1, { tags: ['x'.repeat(256)] }), 'TAG_INVALID')
  await refused(() => tide.deleteByTag(''), 'TAG_INVALID')
  await refused(
    () => tide.getOrSet('1', () => 1, { tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }),
    'TAG_INVALID',
  )
  await refused(() => tide.getOrSet('1', 5 as never), 'OPTION_INVALID', /^build: got 5, allowed is a function/)
  assert.deepEqual([...tide.values.keys()], [])
})

void test('what a call does not know, or is not given, is refused and not passed over', async t => {
  const { tide } = open(t)
  const users = tide.keyspace('users', { source: new Functions({ 1: 1 }) })
  const wrong = (call: () => unknown, message: RegExp) => refused(async () => call(), 'OPTION_INVALID', message)
  await wrong(() => users.get('1', { maxStalenes: 0 } as object), /^maxStalenes: .*allowed is maxStaleness, whenStale/)
  await wrong(() => users.read('1', { ttl: '1s' } as object), /^ttl: got 'an option of that name'/)
  await wrong(() => users.getMany(['1'], { fresh: true } as object), /^fresh: /)
  await wrong(() => users.set('1', 1, { expires: 5 } as object), /^expires: .*allowed is session, signal, ttl, tags/)
  await wrong(() => users.setMany([['1', 1]], { expires: 5 } as object), /^expires: /)
  await wrong(() => users.update('1', () => 1, { expires: 5 } as object), /^expires: /)
  await wrong(() => tide.getOrSet('1', () => 1, { grace: '1s' } as object), /^grace: .*swr, staleIfError/)
  await wrong(() => tide.getOrSet('1', undefined as never), /^build: got undefined, allowed is a function/)
  await wrong(() => users.update('1', 5 as never), /^change: got 5/)
  await wrong(() => users.wrap(() => 1, {} as never), /^key: got undefined/)
  await wrong(() => users.wrap(() => 1, { key: () => '1', grace: '1s' } as never), /^grace: /)
  await wrong(() => users.getMany(new Set(['1']) as never), /^keys: got \{\}, allowed is an array/)
  await wrong(() => users.deleteMany('1' as never), /^keys: got '1'/)
  await wrong(() => users.invalidateMany('1' as never), /^keys: got '1'/)
  for (const entries of [{ a: 1 }, [{ key: 'a', value: 1 }], 'ab', null]) {
    await wrong(() => users.setMany(entries as never), /^entries: got .*, allowed is a Map, or pairs/)
  }
  await wrong(() => tide.on('eror' as never, () => {}), /^event: got 'eror', allowed is .*'error'/)
  await wrong(() => tide.on('error', 5 as never), /^listener: got 5/)
})

void test('there are lanes for so many sources, and the message says what is too much', async () => {
  const tide = new Tidemark({})
  const source = new Functions({ 1: 1 })
  const made = Array.from({ length: 257 }, (_, i) => tide.keyspace(`k${i}`, { source }))
  const results = await Promise.allSettled(made.map(keyspace => keyspace.get('1')))
  const failed = results.filter(({ status }) => status === 'rejected')
  assert.equal(failed.length, 1)
  await refused(() => made[256]!.get('1'), 'OPTION_INVALID', /^keyspaces: got 257, allowed is fewer: .*4096 lanes/)
  assert.equal(await made[0]!.get('1'), 1)
  await tide.close()
})
