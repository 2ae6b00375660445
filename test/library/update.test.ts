// `update`: what it makes of a row is written only if the row is still the one that it was made of, whoever writes meanwhile:
// this process, another one, plain SQL. Each count that is added is there at the end.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createTidemark, type Keyspace } from '../../src/index.ts'
import { postgres } from '../../src/postgres.ts'
import { sqlite } from '../../src/sqlite.ts'
import { postgresInstalled, PostgresServer } from '../support/postgres.ts'

interface Counter {
  readonly id: number
  readonly n: number
  readonly share: number
}

const TABLE = 'CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL, share double precision NOT NULL)'
const UPDATES = 40

async function countUp(keyspaces: readonly Keyspace<Counter>[], sql: () => Promise<void> | void): Promise<void> {
  const one = (counter: Counter | undefined): Counter => ({ ...counter!, n: counter!.n + 1 })
  const updates = keyspaces.flatMap(keyspace => Array.from({ length: UPDATES }, () => keyspace.update('1', one)))
  for (let i = 0; i < UPDATES; i++) {
    await sql()
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all(updates)
}

async function edges(counters: Keyspace<Counter>): Promise<void> {
  const made = { id: 2, n: 1, share: 0.5 }
  assert.deepEqual(await counters.update('2', () => made), made)
  assert.deepEqual(await counters.get('2'), made)
  assert.equal(await counters.update('2', () => undefined), undefined)
  assert.equal(await counters.get('2'), undefined)
  assert.equal(await counters.update('3', () => undefined), undefined)
  await assert.rejects(
    counters.update('1', () => {
      throw new Error('mine')
    }),
    /mine/,
  )
}

test('rows of SQLite, with two processes and plain SQL', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-update-'))
  const file = join(folder, 'app.db')
  const direct = new DatabaseSync(file, { timeout: 10_000 })
  try {
    direct.exec(`PRAGMA journal_mode = WAL; ${TABLE}; INSERT INTO counters VALUES (1, 0, 0.1)`)
    await using a = await createTidemark()
    await using b = await createTidemark()
    const both = [a, b].map(each => each.keyspace<Counter>('counters', { source: sqlite(file).table('counters') }))
    await countUp(both, () => direct.exec('UPDATE counters SET n = n + 1 WHERE id = 1'))
    assert.equal((await both[0]!.get('1', { maxStaleness: 0 }))!.n, 3 * UPDATES)
    await edges(both[1]!)
  } finally {
    direct.close()
    rmSync(folder, { recursive: true })
  }
})

describe('rows of Postgres', { skip: !postgresInstalled() }, () => {
  test('with two processes and plain SQL', async () => {
    const server = (await PostgresServer.start())!
    try {
      await server.query(TABLE)
      await server.query('INSERT INTO counters VALUES (1, 0, 0.1)')
      await using a = await createTidemark()
      await using b = await createTidemark()
      const both = [a, b].map((each, i) => {
        const database = postgres({ url: server.url(), slot: `slot_${i}` })
        return each.keyspace<Counter>('counters', { source: database.table('counters') })
      })
      await countUp(both, async () => void (await server.query('UPDATE counters SET n = n + 1 WHERE id = 1')))
      assert.equal((await both[0]!.get('1', { maxStaleness: 0 }))!.n, 3 * UPDATES)
      await edges(both[1]!)
    } finally {
      await server.close()
    }
  })
})
