// Options of writing behind: what is refused, and with which words.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyspaceOptions, TidemarkOptions } from '../../../src/index.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { postgres } from '../../../src/postgres.ts'
import { sqlite } from '../../../src/sqlite.ts'
import { throwsWith } from '../scene.ts'

const source = { load: () => [], store: () => {} }
const behind = (options: object): object => ({ source, write: { mode: 'behind', directory: 'j', ...options } })

const wrong: Record<string, [options: object, message: RegExp]> = {
  'a word that is none': [
    { source, write: 'back' },
    /^keyspace 'k': write: got 'back', allowed is 'through', 'behind'/,
  ],
  'no folder': [{ source, write: 'behind' }, /write\.directory: .*\{ mode: 'behind', directory \}, or createTidemark\(\{ journal: \{ directory/], // prettier-ignore
  'a folder without a name': [behind({ directory: '' }), /write\.directory: got ''/],
  'no source': [{ write: { mode: 'behind', directory: 'j' } }, /write: got 'behind', allowed is 'through', where there is no source/], // prettier-ignore
  'functions that do not store': [{ ...behind({}), source: { load: () => [] } }, /'through' for functions without 'store'/], // prettier-ignore
  'a view': [
    {
      ...behind({}),
      source: postgres('postgres://x').view({ sql: 'SELECT 1 AS id', key: ['id'], tables: {} } as never),
    },
    /'through' for a view/,
  ],
  'another mode': [behind({ mode: 'through' }), /write\.mode: got 'through', allowed is 'behind'/],
  'an unknown member': [behind({ maxWait: '1s' }), /write\.maxWait: .*maxDelay/],
  maxPending: [behind({ maxPending: 0 }), /write\.maxPending: got 0, allowed is a whole number from 1 to 1000000/],
  batch: [behind({ batch: 1.5 }), /write\.batch: got 1\.5/],
  maxDelay: [behind({ maxDelay: 100 }), /write\.maxDelay: got 100, .*'500ms'/],
  closeTimeout: [behind({ closeTimeout: 'soon' }), /write\.closeTimeout: got 'soon'/],
  'an unknown member of retry': [behind({ retry: { times: 3 } }), /write\.retry\.times: .*attempts/],
  'retry.first, none': [behind({ retry: { first: 0 } }), /write\.retry\.first: got 0, allowed is a duration above 0/],
  'retry.max below first': [behind({ retry: { first: '2s', max: '1s' } }), /write\.retry\.max: got '1s', allowed is no less than the first, 2000 ms/], // prettier-ignore
  'retry.attempts': [behind({ retry: { attempts: 0 } }), /write\.retry\.attempts: got 0, .*Infinity/],
}

for (const [what, [options, message]] of Object.entries(wrong)) {
  test(`writing behind is refused for ${what}`, () => {
    throwsWith(() => new Tidemark({}).keyspace('k', options as KeyspaceOptions<unknown>), 'OPTION_INVALID', message)
  })
}

test('a journal with other members is refused', () => {
  const options = { journal: { folder: 'j' } } as unknown as TidemarkOptions
  throwsWith(() => new Tidemark(options), 'OPTION_INVALID', /^journal\.folder: .*directory/)
})

test('through is what it is without', async () => {
  await using tide = new Tidemark({})
  const keyspace = tide.keyspace('k', { source, write: 'through' })
  assert.equal(keyspace.stats().behind, undefined)
  tide.keyspace('t', { source: sqlite('x.db').table('t'), write: 'through' })
})
