// Rows as their database spelt them: known from when they come, whatever a schema makes of them, until they are in memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { Encryption } from '../../src/codec/encryption.ts'
import { CheckedSource } from '../../src/library/schema.ts'
import { RowCodec } from '../../src/library/payload-codecs.ts'
import { JsonSource } from '../../src/source/json-source.ts'
import { SpeltRows } from '../../src/source/spelt-rows.ts'
import type { Source } from '../../src/source/source.ts'

const JSON_OF_IT = '{"id":1,"score":5.00,"photo": "YWJj"}'
const load = { kind: 'load' } as never

const rows = {
  name: 'rows',
  load: (_: string, ids: readonly string[]) =>
    Promise.resolve({ rows: ids.map(id => (id === '1' ? Buffer.from(JSON_OF_IT) : null)), stamp: load }),
  write: () => {
    const outcome = { changed: true, before: null, after: Buffer.from(JSON_OF_IT), fields: 3, exact: true }
    return Promise.resolve({ outcomes: [outcome], stamp: load })
  },
} as unknown as Source

const short = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (row: unknown) => ({ value: { photo: (row as { photo: string }).photo } }),
  },
} as const

function scene(schema: boolean) {
  const spelt = new SpeltRows()
  const schemas = new Map(schema ? [['k', short]] : [])
  return { spelt, schemas, source: new CheckedSource(new JsonSource(rows, spelt), schemas, spelt) }
}

for (const schema of [false, true]) {
  void test(`a row goes into a tier as it was spelt, loaded and written, ${schema ? 'with a schema' : 'as it is'}`, async () => {
    const { spelt, schemas, source } = scene(schema)
    const codec = new RowCodec(schemas, spelt, undefined)
    const loaded = (await source.load('k', ['1', '2'])).rows
    assert.deepEqual(loaded, [schema ? { photo: 'YWJj' } : { id: 1, score: 5, photo: 'YWJj' }, null])
    const { outcomes } = await source.write([{ keyspace: 'k', id: '1', operation: { kind: 'remove' } }])
    for (const row of [loaded[0], outcomes[0]!.after]) {
      assert.equal(Buffer.from(codec.encode('k:1', row)).toString(), JSON_OF_IT)
      assert.deepEqual(await codec.decode('k:1', codec.encode('k:1', row)), loaded[0])
    }
    const sealed = new RowCodec(
      schemas,
      spelt,
      new Encryption({ current: 'a', keys: { a: Buffer.alloc(32, 1) } }, seededRandom(1)),
    )
    assert.deepEqual(await sealed.decode('k:1', sealed.encode('k:1', loaded[0])), loaded[0])
  })
}

void test('what the database did not spell, and what is forgotten, does not go into a tier', async () => {
  const { spelt, schemas, source } = scene(true)
  const codec = new RowCodec(schemas, spelt, undefined)
  const [row] = (await source.load('k', ['1'])).rows
  spelt.forget(row)
  for (const other of [row, { photo: 'YWJj' }, 'text', null]) {
    assert.equal(spelt.of(other), undefined)
    assert.throws(() => codec.encode('k:1', other), /as its database spelt it/)
  }
})
