// SQL behind the server's back, from a process of its own, and several server threads with the same rows in memory.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { RespClient } from '../support/resp-client.ts'
import { ServeProcess } from '../support/serve-process.ts'
import { makeApp } from './app.ts'

const UPDATE = `
const { DatabaseSync } = require('node:sqlite')
const database = new DatabaseSync(process.argv[1])
database.prepare('UPDATE users SET name = ? WHERE id = ?').run(process.argv[2], Number(process.argv[3]))
database.close()
`

const EXECUTE = `
const { DatabaseSync } = require('node:sqlite')
const database = new DatabaseSync(process.argv[1])
database.exec(process.argv[2])
database.close()
`

await test('a row changed by another process is answered as changed, by every thread', async t => {
  const app = makeApp(10)
  const server = new ServeProcess([...app.args, '--threads', '2'])
  t.after(async () => {
    await server.interrupt()
    app.remove()
  })
  const { port } = await server.ready()
  const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(port)))
  for (let round = 0; round < 5; round++) {
    for (const client of clients) await client.command('HGET', 'users:3', 'name')
    const name = `renamed ${round}`
    const child = spawnSync(process.execPath, ['-e', UPDATE, app.file, name, '3'], { encoding: 'utf8' })
    assert.equal(child.status, 0, child.stderr)
    // The bound is 500 ms and the poll 25 ms: at most so many tries until the poll has come by.
    for (const client of clients) {
      let seen: unknown
      for (let tries = 0; seen !== name && tries < 1_000; tries++) {
        seen = await client.command('HGET', 'users:3', 'name')
        if (seen !== name) await new Promise(resolve => setTimeout(resolve, 5))
      }
      assert.equal(seen, name)
    }
  }
  for (const client of clients) client.close()
})

await test('a table that another process has altered is taken as it is then, by every thread', async t => {
  const app = makeApp(10)
  const server = new ServeProcess([...app.args, '--threads', '2'])
  t.after(async () => {
    await server.interrupt()
    app.remove()
  })
  const { port } = await server.ready()
  const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(port)))
  for (const client of clients) assert.equal(await client.command('HGET', 'users:3', 'photo'), null)
  const sql = `ALTER TABLE users ADD COLUMN photo BLOB DEFAULT x'616263'`
  const child = spawnSync(process.execPath, ['-e', EXECUTE, app.file, sql], { encoding: 'utf8' })
  assert.equal(child.status, 0, child.stderr)
  for (const client of clients) {
    let seen: unknown = null
    for (let tries = 0; seen === null && tries < 1_000; tries++) {
      seen = await client.command('HGET', 'users:3', 'photo')
      if (seen === null) await new Promise(resolve => setTimeout(resolve, 5))
    }
    assert.equal(seen, 'abc', 'its bytes, in whichever thread, and whether it has heard of the column or not')
  }
  for (const client of clients) client.close()
})

await test('what one connection has written, every other one reads at once, on whichever thread', async t => {
  const app = makeApp(10)
  const server = new ServeProcess([...app.args, '--threads', '2'])
  t.after(async () => {
    await server.interrupt()
    app.remove()
  })
  const { port } = await server.ready()
  const clients = await Promise.all(Array.from({ length: 6 }, () => RespClient.connect(port)))
  for (let round = 1; round <= 200; round++) {
    const writer = clients[round % clients.length]!
    await writer.command('HSET', 'users:5', 'visits', round)
    const seen = await Promise.all(clients.map(client => client.command('HGET', 'users:5', 'visits')))
    assert.deepEqual(
      seen.map(String),
      clients.map(() => String(round)),
    )
  }
  for (const client of clients) client.close()
})
