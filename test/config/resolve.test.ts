// From file, environment and flags to settings: what goes before what, and that every mistake is told, with its place.
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { TidemarkError } from '../../src/base/errors.ts'
import { resolveSettings } from '../../src/config/resolve.ts'
import type { Resolved } from '../../src/config/resolve.ts'
import type { DatabaseSettings, SqliteSettings } from '../../src/server/settings.ts'
import { sqlite } from '../../src/sqlite.ts'

const folder = resolve('/somewhere/here')
const configFile = resolve('/somewhere/here/conf/tidemark.config.ts')

interface Given {
  readonly config?: unknown
  readonly environment?: Record<string, string>
  readonly flags?: Record<string, string>
  readonly cores?: number
}

function settingsOf({ config, environment = {}, flags = {}, cores = 4 }: Given): Resolved {
  const file = config === undefined ? undefined : { file: configFile, value: config }
  return resolveSettings({ file, environment, flags: new Map(Object.entries(flags)), folder, cores })
}

/** The lines of what is refused. */
function mistakesOf(given: Given): string[] {
  try {
    settingsOf(given)
  } catch (thrown) {
    assert.ok(thrown instanceof TidemarkError)
    assert.equal(thrown.code, 'CONFIG_INVALID')
    const lines = thrown.message.split('\n')
    if (lines.length === 1) return lines
    assert.equal(lines[0], `${lines.length - 1} mistakes:`)
    return lines.slice(1).map(line => line.trim())
  }
  return []
}

function sqliteOf(settings: DatabaseSettings): SqliteSettings {
  assert.ok(settings.kind === 'sqlite')
  return settings
}

const shop = { databases: { shop: sqlite({ file: 'shop.db' }) } }

describe('where a setting comes from', () => {
  test('with nothing given it has its default, and the server is a plain cache', () => {
    assert.deepEqual(settingsOf({}), {
      setups: [],
      settings: {
        host: '127.0.0.1',
        port: 6379,
        adminHost: '127.0.0.1',
        adminPort: 8379,
        threads: 4,
        memoryBytes: 268_435_456,
        requirepass: undefined,
        dataFolder: undefined,
        snapshot: undefined,
        connectionsMax: 10_000,
        debugCommand: 'no',
        drainMs: 5_000,
        databases: [],
        tier: undefined,
        tierMemoryBytes: 0,
        keyspaces: [],
      },
    })
  })
  test('the file goes before the default, the environment before the file, a flag before all', () => {
    const config = { port: 1001 }
    const environment = { TIDEMARK_PORT: '1002' }
    const flags = { port: '1003' }
    assert.equal(settingsOf({ config }).settings.port, 1001)
    assert.equal(settingsOf({ config, environment }).settings.port, 1002)
    assert.equal(settingsOf({ config, environment, flags }).settings.port, 1003)
    assert.equal(settingsOf({ environment }).settings.port, 1002)
  })
  test('an empty variable is one that is not set, but an empty password is a mistake', () => {
    assert.equal(settingsOf({ environment: { TIDEMARK_PORT: '' } }).settings.port, 6379)
    assert.match(
      mistakesOf({ environment: { TIDEMARK_REQUIREPASS: '' } }).join(),
      /^TIDEMARK_REQUIREPASS: got an empty one/,
    )
  })
  test('threads are the cores, as far as threads go', () => {
    assert.equal(settingsOf({ cores: 1000 }).settings.threads, 127)
    assert.equal(settingsOf({ cores: 1000, config: shop }).settings.threads, 126)
    assert.equal(settingsOf({ cores: 1000, config: shop, flags: { snapshot: 'w' } }).settings.threads, 125)
    assert.match(
      mistakesOf({ config: shop, flags: { threads: '127' } }).join(),
      /^threads: got 127, allowed is at most 126 with 1 databases/,
    )
    assert.equal(settingsOf({ cores: 1000, flags: { threads: '3' } }).settings.threads, 3)
  })
  test('settings that are undefined in the file are not there', () => {
    assert.equal(settingsOf({ config: { port: undefined, databases: undefined } }).settings.port, 6379)
  })
})

describe('databases and keyspaces', () => {
  test("have their own value, else the file's common one, and a flag goes before both", () => {
    const databases = { a: sqlite({ file: 'a.db', poll: '10ms' }), b: sqlite({ file: 'b.db' }) }
    const keyspaces = {
      x: { database: 'a', maxStaleness: 0 },
      y: { database: 'b', whenStale: 'fail', session: 'connection' },
    }
    const config = { databases, keyspaces, poll: '40ms', maxStaleness: '2s', whenStale: 'serve' }
    const polls = (given: Given): number[] => settingsOf(given).settings.databases.map(each => sqliteOf(each).pollMs)
    assert.deepEqual(polls({ config: { databases } }), [10, 25])
    assert.deepEqual(polls({ config }), [10, 40])
    assert.deepEqual(polls({ config, environment: { TIDEMARK_POLL: '50ms' } }), [50, 50])
    assert.deepEqual(polls({ config, flags: { poll: '60ms' } }), [60, 60])
    assert.deepEqual(settingsOf({ config }).settings.keyspaces, [
      { name: 'x', database: 'a', table: 'x', columns: undefined, maxStalenessMs: 0, whenStale: 'serve' },
      {
        name: 'y',
        database: 'b',
        table: 'y',
        columns: undefined,
        maxStalenessMs: 2000,
        whenStale: 'fail',
        session: true,
      },
    ])
  })
  test('settings can go to other threads as they are', () => {
    const { settings } = settingsOf({ config: { databases: { d: sqlite({ file: 'd.db', create: () => {} }) } } })
    assert.deepEqual(structuredClone(settings), settings)
  })
})

describe('files and folders', () => {
  const fileOf = (given: Given): string => sqliteOf(settingsOf(given).settings.databases[0]!).file
  test("a relative database is in the data folder, else in the configuration file's", () => {
    assert.equal(fileOf({ config: shop }), resolve('/somewhere/here/conf/shop.db'))
    assert.equal(fileOf({ config: shop, flags: { data: 'd' } }), resolve('/somewhere/here/d/shop.db'))
    assert.equal(fileOf({ config: shop, environment: { TIDEMARK_DATA: '/d' } }), resolve('/d/shop.db'))
    assert.equal(fileOf({ config: { ...shop, data: 'd' } }), resolve('/somewhere/here/conf/d/shop.db'))
    assert.equal(fileOf({ config: { ...shop, data: 'd' }, flags: { data: 'e' } }), resolve('/somewhere/here/e/shop.db'))
  })
  test('an absolute database stays where it is', () => {
    const config = { databases: { d: sqlite({ file: resolve('/elsewhere/d.db') }) } }
    assert.equal(fileOf({ config, flags: { data: 'd' } }), resolve('/elsewhere/d.db'))
  })
  test('a snapshot is where it is said: a flag speaks of the current folder, a file of its own', () => {
    const snapshotOf = (given: Given): unknown => settingsOf(given).settings.snapshot
    const config = { snapshot: { path: 'warm', every: '5m' } }
    assert.deepEqual(snapshotOf({ config }), { file: resolve('/somewhere/here/conf/warm'), everyMs: 300_000 })
    assert.deepEqual(snapshotOf({ config, flags: { 'snapshot-every': '1h' } }), {
      file: resolve('/somewhere/here/conf/warm'),
      everyMs: 3_600_000,
    })
    assert.deepEqual(snapshotOf({ config, flags: { snapshot: 'cold' } }), {
      file: resolve('/somewhere/here/cold'),
      everyMs: 300_000,
    })
    assert.deepEqual(snapshotOf({ environment: { TIDEMARK_SNAPSHOT: '/w' } }), { file: resolve('/w'), everyMs: 0 })
    assert.equal(snapshotOf({ config: { snapshot: undefined } }), undefined)
    assert.equal(snapshotOf({ config: { snapshot: {} } }), undefined)
  })
  test('what makes a database comes with the file it is to make', () => {
    const create = (): void => {}
    const { setups } = settingsOf({ config: { databases: { d: sqlite({ file: 'd.db', create }) } } })
    assert.deepEqual(setups, [{ name: 'd', file: resolve('/somewhere/here/conf/d.db'), create }])
  })
})

describe('mistakes', () => {
  test('are all told at once, each with its place, what was got and what is allowed', () => {
    const lines = mistakesOf({
      config: {
        memroy: '1gb',
        port: 70_000,
        drain: 500,
        databases: { a: sqlite({ file: 'a.db', poll: '0s' }), 'b:c': sqlite({ file: 'b.db' }), d: { file: 'd.db' } },
        keyspaces: { k: { database: 'aa', tabel: 't', columns: [], whenStale: 'sometimes' }, l: 5, m: {} },
      },
      environment: { TIDEMARK_THREADS: 'many', TIDEMARK_PROT: '1' },
      flags: { memory: '1tb' },
    })
    const file = '\\(conf/tidemark.config.ts\\)'
    const expected = [
      `memroy: there is no such setting \\(did you mean memory\\?\\) ${file}`,
      'TIDEMARK_PROT: there is no such variable \\(did you mean TIDEMARK_PORT\\?\\)',
      `port: got 70000, allowed is a whole number from 0 to 65535 ${file}`,
      'TIDEMARK_THREADS: got "many", allowed is a whole number from 1 to 127',
      '--memory: got "1tb", allowed is a size from 1mb to 16gb, such as .*',
      `drain: got 500, allowed is a duration from 0 to 10m, such as .* ${file}`,
      `databases\\.a\\.poll: got "0s", allowed is a duration from 1ms to 1m, such as .* ${file}`,
      `databases\\.b:c: the name is 1 to 64 of .* ${file}`,
      `databases\\.d: got a plain object, allowed is sqlite\\(\\{ \\.\\.\\. \\}\\) of 'tidemark/sqlite' or .* ${file}`,
      `keyspaces\\.k\\.database: got "aa", there is a, b:c, d ${file}`,
      `keyspaces\\.k\\.tabel: there is no such setting \\(did you mean table\\?\\) ${file}`,
      `keyspaces\\.k\\.columns: got an empty list, allowed is a list of one or more different names ${file}`,
      `keyspaces\\.k\\.whenStale: got "sometimes", allowed is source, serve or fail ${file}`,
      `keyspaces\\.l: got 5, allowed is an object ${file}`,
      `keyspaces\\.m\\.database: is missing, allowed is a text that is not empty ${file}`,
    ]
    const pattern = (each: string): RegExp => new RegExp(`^${each}$`)
    for (const each of expected)
      assert.equal(lines.filter(line => pattern(each).test(line)).length, 1, `${each}\nin\n${lines.join('\n')}`)
    assert.equal(lines.length, expected.length, lines.join('\n'))
  })
  test('in a group of settings have their place too', () => {
    const lineOf = (config: unknown): string => mistakesOf({ config }).join('\n')
    assert.match(lineOf({ snapshot: 'warm' }), /^snapshot: got "warm", allowed is an object /)
    assert.match(lineOf({ snapshot: { pth: 'w' } }), /^snapshot\.pth: there is no such setting.*path/)
    assert.match(lineOf({ snapshot: { path: '' } }), /^snapshot\.path: got "", allowed is the path /)
    assert.match(lineOf({ snapshot: { path: 'w', every: 5 } }), /^snapshot\.every: got 5, allowed is a duration/)
    assert.match(lineOf({ snapshot: { every: '5m' } }), /^snapshot\.every: .* set snapshot\.path \(--snapshot\) too/)
    assert.match(lineOf({ 'snapshot.path': 'w' }), /^snapshot\.path: there is no such setting/)
  })
  test('a single one is a single line', () => {
    assert.deepEqual(mistakesOf({ flags: { port: '-1' } }), [
      '--port: got "-1", allowed is a whole number from 0 to 65535',
    ])
  })
  test('what is overridden is checked all the same', () => {
    assert.equal(mistakesOf({ config: { port: 'x' }, flags: { port: '1' } }).length, 1)
  })
  test('a password that is wrong is not shown', () => {
    const [line] = mistakesOf({ config: { requirepass: 12_345 } })
    assert.match(line!, /^requirepass: got something else/)
    assert.doesNotMatch(line!, /12345/)
  })
  test('two ports that are the same are refused, unless both are any', () => {
    assert.match(mistakesOf({ flags: { port: '8379' } }).join(), /^adminPort: got 8379, which is the port of the Redis/)
    assert.deepEqual(mistakesOf({ flags: { port: '0', 'admin-port': '0' } }), [])
  })
  test('one file under two names is refused', () => {
    const config = { databases: { a: sqlite({ file: 'x.db' }), b: sqlite({ file: './x.db' }) } }
    assert.match(mistakesOf({ config }).join(), /^databases\.b\.file: is the file of databases\.a already/)
  })
  test('a database is no place for a snapshot', () => {
    const flags = { snapshot: '/d/shop.db', data: '/d' }
    assert.deepEqual(mistakesOf({ config: shop, flags }), ['snapshot.path: is the file of databases.shop already'])
  })
  test('a keyspace without any database says so', () => {
    assert.match(
      mistakesOf({ config: { keyspaces: { k: { database: 'a' } } } }).join(),
      /got "a", and there are no databases/,
    )
  })
  test('variables of other tools are let be, and one that Kubernetes sets is recognised', () => {
    assert.deepEqual(mistakesOf({ environment: { TIDEMARK_SERVICE_HOST: '10.0.0.1', TIDEMARK_NO_SKIP: '1' } }), [])
    assert.match(mistakesOf({ environment: { TIDEMARK_PORT: 'tcp://10.0.0.1:6379' } }).join(), /set by Kubernetes\?/)
  })
  test('settings of the wrong kind are refused, whatever they are', () => {
    for (const value of [null, [], {}, () => {}, Number.NaN, 1.5, 1n, true, 'x', '', ' 1', '+1', '1e3', '0x1']) {
      assert.equal(mistakesOf({ config: { port: value } }).length, 1, inspect(value))
    }
    for (const value of [null, [], {}, 5, '', 'a\0b']) assert.equal(mistakesOf({ config: { data: value } }).length, 1)
    for (const config of [[], 'x', 5]) assert.match(mistakesOf({ config }).join(), /allowed is an object/)
    for (const databases of [[], 'x', null])
      assert.match(mistakesOf({ config: { databases } }).join(), /^databases: got/)
    const columns = [['a', 'a'], ['a', 1], 'a', ['']]
    for (const value of columns) {
      const config = { ...shop, keyspaces: { k: { database: 'shop', columns: value } } }
      assert.match(mistakesOf({ config }).join(), /^keyspaces\.k\.columns: got/, JSON.stringify(value))
    }
  })
})
