// The table of settings itself: complete, consistent, and the same as the types that the editor shows.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defineConfig } from '../../src/config/config.ts'
import type {
  KeyspaceConfig,
  PostgresDatabase,
  SnapshotConfig,
  SqliteDatabase,
  TidemarkConfig,
  TierConfig,
} from '../../src/config/config.ts'
import { namesAt } from '../../src/config/layers.ts'
import { allowedText, readValue, schema } from '../../src/config/schema.ts'

// Complete, or the compiler complains; with nothing more than the types have, or it complains too.
const keyspace: Required<KeyspaceConfig> = {
  database: 'd',
  table: 't',
  columns: ['a'],
  maxStaleness: '500ms',
  view: { sql: 'SELECT 1', keyColumns: ['a'], dependsOn: [{ table: 't', keyColumns: ['a'] }] },
  whenStale: 'serve',
  session: 'connection',
}
const database: Required<SqliteDatabase> = {
  kind: 'sqlite',
  file: 'f',
  create: () => {},
  poll: '25ms',
  busyTimeout: '1s',
}
const postgres: Required<PostgresDatabase> = {
  kind: 'postgres',
  url: 'postgres://h/d',
  host: 'h',
  port: 1,
  user: 'u',
  password: 'p',
  database: 'd',
  ca: 'f',
  slot: 's',
  publication: 'p',
  outbox: 'o',
  connections: 1,
}
const tier: Required<TierConfig> = { url: 'valkey://h', lanes: 1, prefix: 'x', ca: 'f' }
const snapshot: Required<SnapshotConfig> = { path: 's', every: '5m' }
const everything: Required<TidemarkConfig> = {
  host: '127.0.0.1',
  port: 1,
  adminHost: '127.0.0.1',
  adminPort: 2,
  threads: 1,
  memory: '1mb',
  requirepass: 'secret',
  data: 'data',
  snapshot,
  maxConnections: 1,
  enableDebugCommand: 'no',
  drain: '1s',
  poll: '1s',
  busyTimeout: '1s',
  maxStaleness: 0,
  whenStale: 'fail',
  source: 'postgres://h/d',
  databases: { d: database, p: postgres },
  tier,
  tierMemory: '1mb',
  keyspaces: { k: keyspace },
}

describe('the schema', () => {
  test('has the settings that the types have, and no others', () => {
    assert.deepEqual([...namesAt('')].sort(), Object.keys(everything).sort())
    assert.deepEqual([...namesAt('snapshot.')].sort(), Object.keys(snapshot).sort())
    assert.deepEqual([...namesAt('tier.')].sort(), Object.keys(tier).sort())
    const databases = { ...database, ...postgres }
    assert.deepEqual([...namesAt('databases.*.'), 'kind'].sort(), Object.keys(databases).sort())
    for (const [kind, type] of Object.entries({ sqlite: database, postgres })) {
      const own = schema.filter(({ of }) => of === kind).map(({ path }) => path.slice('databases.*.'.length))
      assert.deepEqual([...own, 'kind'].sort(), Object.keys(type).sort())
    }
    assert.deepEqual([...namesAt('keyspaces.*.')].sort(), Object.keys(keyspace).sort())
  })
  test('names no path, flag or variable twice', () => {
    for (const key of ['path', 'flag', 'environment'] as const) {
      const names = schema.map(setting => setting[key]).filter(name => name !== undefined && name !== '')
      assert.equal(new Set(names).size, names.length, key)
    }
  })
  test('spells flags and variables as the path', () => {
    for (const { path, flag, environment } of schema) {
      if (path.includes('*')) assert.equal(flag ?? environment, undefined, path)
      else if (path !== '') {
        // `snapshot.path` is what the snapshot is: --snapshot.
        const words = path.replace(/\.(path|url)$/, '').replace('.', '-')
        const kebab = words.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
        assert.equal(flag, kebab)
        assert.equal(environment, `TIDEMARK_${kebab.replaceAll('-', '_').toUpperCase()}`)
      }
    }
  })
  test('has defaults that it allows itself, and a default or its explanation for all that is not required', () => {
    for (const setting of schema) {
      if (setting.default !== undefined)
        assert.notEqual(readValue(setting.type, setting.default), undefined, setting.path)
      const explained = setting.required === true || setting.default !== undefined || setting.defaultText !== undefined
      assert.ok(explained, setting.path)
    }
  })
  test('takes both ends of every range and nothing beyond', () => {
    for (const { path, type } of schema) {
      if (type.kind !== 'integer' && type.kind !== 'size' && type.kind !== 'duration') continue
      const unit = type.kind === 'duration' ? 'ms' : ''
      for (const [value, expected] of [
        [type.min, type.min],
        [type.max, type.max],
        [type.min - 1, undefined],
        [type.max + 1, undefined],
      ] as const) {
        assert.equal(readValue(type, `${value}${unit}`), expected, `${path} ${value}`)
      }
      assert.match(allowedText(type), /from .+ to /)
    }
  })
})

test('defineConfig gives back what it got', () => {
  assert.equal(defineConfig(everything), everything)
})
