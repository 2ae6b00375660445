// Where other systems are: the database that `source` names, keyspaces of the command line, and the tier.
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { describe, test } from 'node:test'
import { parseSource, parseTable, parseTier } from '../../src/config/addresses.ts'
import { resolveSettings } from '../../src/config/resolve.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { sqlite } from '../../src/sqlite.ts'

const folder = resolve('/here')
const configFile = resolve('/here/conf/tidemark.config.ts')
const url = 'postgres://app:secret@db:5433/shop'

const log = { kind: 'publication', slot: 'tidemark', publication: 'tidemark' }
const mine = { ...log, slot: 'mine' }

interface Given {
  readonly config?: unknown
  readonly environment?: Record<string, string>
  readonly flags?: Record<string, string>
}

function settingsOf({ config, environment = {}, flags = {} }: Given): ServerSettings {
  const file = config === undefined ? undefined : { file: configFile, value: config }
  return resolveSettings({ file, environment, flags: new Map(Object.entries(flags)), folder, cores: 2 }).settings
}

function mistakeOf(given: Given): string {
  try {
    settingsOf(given)
  } catch (thrown) {
    return (thrown as Error).message
  }
  return 'none'
}

describe('addresses', () => {
  test('of a tier have a scheme that says what it is, and a port by default', () => {
    const plain = { tls: false, username: undefined, password: undefined }
    assert.deepEqual(parseTier('valkey://a'), { ...plain, kind: 'valkey', host: 'a', port: 6379 })
    assert.deepEqual(parseTier('redis://a:1/'), { ...plain, kind: 'valkey', host: 'a', port: 1 })
    assert.deepEqual(parseTier('tidemarks://a:2'), { ...plain, tls: true, kind: 'tidemark', host: 'a', port: 2 })
    assert.deepEqual(parseTier('valkeys://u:p%40@[::1]:7000/0'), {
      kind: 'valkey',
      tls: true,
      host: '::1',
      port: 7000,
      username: 'u',
      password: 'p@',
    })
    assert.equal(parseTier('valkey://:p@a')?.password, 'p')
    for (const bad of [
      'a:6379',
      'http://a',
      'valkey://',
      'valkey://a/1',
      'valkey://a?x=1',
      'valkey://a:99999',
      'valkey://%:x@a',
    ]) {
      assert.equal(parseTier(bad), undefined, bad)
    }
  })
  test('of a database are a URL of Postgres or a file of SQLite', () => {
    assert.deepEqual(parseSource(url), { kind: 'postgres', url })
    assert.deepEqual(parseSource('postgresql:///shop'), { kind: 'postgres', url: 'postgresql:///shop' })
    assert.deepEqual(parseSource('sqlite:a/b.db'), { kind: 'sqlite', file: 'a/b.db' })
    for (const bad of ['', 'shop', 'mysql://a/b', 'sqlite:', 'sqlite://x', 'postgres://%:p@h/d']) {
      assert.equal(parseSource(bad), undefined, bad)
    }
  })
  test('of tables are a keyspace and, where it has another name, the table', () => {
    assert.deepEqual(parseTable('users'), { name: 'users', table: 'users' })
    assert.deepEqual(parseTable('u=public.users'), { name: 'u', table: 'public.users' })
    for (const bad of ['', '=x', 'u=', 'a b=c', 'u=a=b']) assert.equal(parseTable(bad), undefined, bad)
  })
})

describe('the database that source names', () => {
  test('is `main`, with the keyspaces of the command line', () => {
    const { databases, keyspaces } = settingsOf({ flags: { source: url, keyspace: 'users=public.users,orders' } })
    assert.deepEqual(databases, [{ kind: 'postgres', name: 'main', connection: { url }, log, connectionsMax: 10 }])
    const common = { database: 'main', columns: undefined, maxStalenessMs: 500, whenStale: 'source' }
    assert.deepEqual(keyspaces, [
      { ...common, name: 'users', table: 'public.users' },
      { ...common, name: 'orders', table: 'orders' },
    ])
  })
  test('may be a file of SQLite, relative to the current folder, or in a file to that', () => {
    const fileOf = (given: Given): unknown =>
      settingsOf(given).databases.map(each => each.kind === 'sqlite' && each.file)
    const keyspaces = { users: { database: 'main' } }
    assert.deepEqual(fileOf({ flags: { source: 'sqlite:a.db', keyspace: 'users' } }), [resolve('/here/a.db')])
    assert.deepEqual(fileOf({ config: { source: 'sqlite:a.db', keyspaces } }), [resolve('/here/conf/a.db')])
  })
  test('takes the place of the url in the file, and leaves the rest of it', () => {
    const databases = { main: { kind: 'postgres', host: 'h', user: 'u', slot: 'mine' } }
    const config = { databases, keyspaces: { users: { database: 'main' } } }
    assert.deepEqual(settingsOf({ config }).databases, [
      { kind: 'postgres', name: 'main', connection: { host: 'h', user: 'u' }, log: mine, connectionsMax: 10 },
    ])
    assert.deepEqual(settingsOf({ config, environment: { TIDEMARK_SOURCE: url } }).databases, [
      { kind: 'postgres', name: 'main', connection: { url }, log: mine, connectionsMax: 10 },
    ])
  })
  test('is not taken for the port or the host that the server listens on', () => {
    const databases = { main: { url }, other: { host: 'h', port: 5000 } }
    const settings = settingsOf({ config: { databases, port: 1 }, flags: { port: '2', host: '127.0.0.2' } })
    assert.deepEqual(settings.databases[1], {
      kind: 'postgres',
      name: 'other',
      connection: { host: 'h', port: 5000 },
      log,
      connectionsMax: 10,
    })
  })
  test('is refused where it makes no sense, without telling its password', () => {
    const users = { users: { database: 'main' } }
    const flags = { source: url, keyspace: 'users' }
    assert.equal(
      mistakeOf({ flags: { source: 'mysql://u:secret@h/d' } }),
      '--source: got "mysql://u:***@h/d", allowed is postgres://user:password@host:port/database, or sqlite: and a file',
    )
    assert.match(mistakeOf({ flags: { source: url } }), /^source: names a database, and no keyspace is in it/)
    assert.match(
      mistakeOf({ flags: { keyspace: 'users' } }),
      /^--keyspace: got users, of the database `main`, and there is/,
    )
    assert.match(
      mistakeOf({ flags: { ...flags, keyspace: 'a,a' } }),
      /^--keyspace: got "a,a", allowed is one or more diff/,
    )
    assert.match(mistakeOf({ flags, config: { keyspaces: users } }), /^--keyspace: users is there already$/)
    const both = { source: url, databases: { main: { url } }, keyspaces: users }
    assert.match(mistakeOf({ config: both }), /^source: names the database `main`, which databases\.main does too/)
    const other = { databases: { main: sqlite({ file: 'a.db' }) } }
    assert.match(mistakeOf({ config: other, flags }), /^databases\.main: is of another kind than/)
  })
  test('may tell its changes by an outbox, and its keyspaces may be views', () => {
    const view = { sql: 'SELECT 1 AS a', keyColumns: ['a'], dependsOn: [{ table: 't', keyColumns: ['a'] }] }
    const databases = { main: { url, outbox: 'changes', connections: 3 } }
    const settings = settingsOf({ config: { databases, keyspaces: { v: { database: 'main', view } } } })
    const [main] = settings.databases
    assert.ok(main?.kind === 'postgres')
    assert.deepEqual([main.log, main.connectionsMax], [{ kind: 'outbox', schema: 'changes' }, 3])
    assert.deepEqual(settings.keyspaces[0]?.view, view)
    const both = { main: { url, outbox: 'changes', slot: 's' } }
    assert.match(mistakeOf({ config: { databases: both } }), /^databases\.main\.slot: is there besides `outbox`/)
    const of = (keyspace: object): string =>
      mistakeOf({ config: { databases, keyspaces: { v: { database: 'main', ...keyspace } } } })
    assert.match(of({ view, table: 't' }), /^keyspaces\.v\.table: is there besides `view`/)
    for (const bad of [
      {},
      { ...view, sql: '' },
      { ...view, more: 1 },
      { ...view, dependsOn: [] },
      { ...view, keyColumns: ['a', 'b'] },
    ]) {
      assert.match(of({ view: bad }), /^keyspaces\.v\.view: got an object, allowed is { sql, keyColumns, dependsOn/)
    }
    const file = { main: sqlite({ file: 'a.db' }) }
    const onSqlite = mistakeOf({ config: { databases: file, keyspaces: { v: { database: 'main', view } } } })
    assert.match(onSqlite, /^keyspaces\.v\.view: is for databases of Postgres/)
  })
  test('has settings of its own kind only', () => {
    const of = (main: object): string => mistakeOf({ config: { databases: { main } } })
    assert.match(
      of({ url, poll: '1s' }),
      /^databases\.main\.poll: is a setting of sqlite\({ \.\.\. }\), and this is postg/,
    )
    assert.match(of(sqlite({ file: 'a', slot: 's' } as never)), /^databases\.main\.slot: is a setting of postgres\(/)
    assert.match(of({ url, host: 'h' }), /^databases\.main\.host: is there besides `url`/)
    assert.match(of({ url: 'sqlite:a.db' }), /^databases\.main\.url: got a file of SQLite/)
    assert.match(of({ url, slot: 'My Slot' }), /^databases\.main\.slot: got "My Slot", allowed is up to 63 letters/)
    assert.match(of({ file: 'a.db' }), /allowed is sqlite\({ \.\.\. }\) of 'tidemark\/sqlite' or postgres\(/)
  })
})

describe('the tier', () => {
  test('is several nodes of one cluster, from flags, variable or file', () => {
    const wanted = {
      kind: 'valkey',
      seeds: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 7001 },
      ],
      tls: true,
      username: 'u',
      password: 'p',
      ca: undefined,
      lanes: 64,
      prefix: 'tm',
    }
    const urls = ['valkeys://u:p@a:7000', 'valkeys://u:p@b:7001']
    assert.deepEqual(settingsOf({ flags: { tier: urls.join(',') } }).tier, wanted)
    assert.deepEqual(settingsOf({ environment: { TIDEMARK_TIER: urls.join(', ') } }).tier, wanted)
    const tier = { url: urls, lanes: 8, ca: 'ca.pem' }
    assert.deepEqual(settingsOf({ config: { tier } }).tier, { ...wanted, lanes: 8, ca: resolve('/here/conf/ca.pem') })
    assert.equal(settingsOf({ config: { tier: { url: 'tidemark://c' } } }).tier?.kind, 'tidemark')
    assert.equal(settingsOf({}).tier, undefined)
  })
  test('is refused where its parts do not fit together, without telling its password', () => {
    const of = (tier: string): string => mistakeOf({ flags: { tier } })
    assert.match(
      of('http://u:secret@a'),
      /^--tier: got "http:\/\/u:\*\*\*@a", allowed is one or more different ones of valkey:/,
    )
    assert.match(
      of('valkey://a,valkeys://b'),
      /^tier\.url: got .*, allowed are nodes of one cluster, all with the same/,
    )
    assert.match(of('valkey://a,tidemark://b'), /^tier\.url: got .*, allowed are nodes of one cluster/)
    assert.match(of('valkey://u:p@a,valkey://b'), /^tier\.url: got valkey:\/\/u:\*\*\*@a, .*, allowed is the same user/)
    assert.match(of('tidemark://a,tidemark://b'), /^tier\.url: got .*, allowed is one server of kind tidemark/)
    assert.match(mistakeOf({ config: { tier: { ca: 'x' } } }), /^tier\.ca: there is no tier/)
    assert.match(mistakeOf({ flags: { tier: 'valkey://a', 'tier-ca': 'x' } }), /^tier\.ca: is for TLS: .* valkeys:/)
    assert.match(mistakeOf({ flags: { tier: 'valkey://a', snapshot: 'x' } }), /^snapshot\.path: keys that are no rows/)
    const databases = { a: { url }, b: { url: 'postgres://h/other' } }
    assert.match(
      mistakeOf({ config: { databases }, flags: { tier: 'valkey://a' } }),
      /^tier\.url: holds the rows of one database, and there are a and b/,
    )
  })
  test('settings can go to other threads as they are', () => {
    const settings = settingsOf({ flags: { source: url, keyspace: 'u', tier: 'valkey://a' } })
    assert.deepEqual(structuredClone(settings), settings)
  })
})
