// The launcher of real PostgreSQL servers: what the tests and the chaos runs build on.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { PostgresServer, postgresInstalled } from './postgres.ts'

const skip = !postgresInstalled()

test('a server keeps what was committed through a kill -9 and a fast stop', { skip }, async t => {
  const server = (await PostgresServer.start())!
  t.after(() => server.close())
  const { pid } = server
  await server.query('CREATE TABLE t (n int); INSERT INTO t VALUES (1)')
  await server.kill()
  assert.equal(server.running, false)
  await assert.rejects(server.query('SELECT 1'))
  await server.start()
  assert.notEqual(server.pid, pid)
  await server.stop()
  await server.start()
  assert.deepEqual(await server.query('SELECT n FROM t'), [{ n: 1 }])
})

test('a frozen server answers when it is thawed', { skip }, async t => {
  const server = (await PostgresServer.start())!
  t.after(() => server.close())
  await server.query('SELECT 1')
  server.pause()
  let answered = false
  const answer = server.query('SELECT 1 AS n').then(rows => {
    answered = true
    return rows
  })
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(answered, false)
  server.resume()
  assert.deepEqual(await answer, [{ n: 1 }])
})

test('a standby follows, is waited for when it is synchronous, and takes over', { skip }, async t => {
  const primary = (await PostgresServer.start())!
  t.after(() => primary.close())
  const standby = await primary.standby({ synchronous: true })
  t.after(() => standby.close())
  await primary.query('CREATE TABLE t (n int); INSERT INTO t VALUES (1)')
  const [state] = await primary.query('SELECT sync_state FROM pg_stat_replication')
  assert.equal(state!['sync_state'], 'sync')
  await primary.kill()
  await standby.promote()
  await standby.query('INSERT INTO t VALUES (2)')
  assert.deepEqual(await standby.query('SELECT n FROM t ORDER BY n'), [{ n: 1 }, { n: 2 }])
})

test('a closed server leaves nothing behind', { skip }, async () => {
  const server = (await PostgresServer.start())!
  const { folder, pid } = server
  await server.close()
  assert.equal(existsSync(folder), false)
  assert.throws(() => process.kill(pid, 0))
})
