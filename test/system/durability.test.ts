// What was acknowledged is in the database, whenever the server is killed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { RespClient } from '../support/resp-client.ts'
import { ServeProcess } from '../support/serve-process.ts'
import { makeApp } from './app.ts'

const ROUNDS = 20
const CLIENTS = 4
const ROWS_EACH = 50
const SEED = 20_260

/** Writes ever higher numbers to rows of its own, until the server is gone; returns each row's last acknowledged one. */
async function writeUntilKilled(port: number, client: number, from: number): Promise<Map<number, number>> {
  const acknowledged = new Map<number, number>()
  const connection = await RespClient.connect(port)
  try {
    for (let value = from; ; value++) {
      const id = client * ROWS_EACH + (value % ROWS_EACH)
      const reply = await connection.command('HSET', `users:${id}`, 'visits', value)
      assert.equal(reply, 0, `HSET was answered with ${String(reply)}`)
      acknowledged.set(id, value)
    }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return acknowledged
  } finally {
    connection.close()
  }
}

await test(`every acknowledged HSET survives kill -9, ${ROUNDS} times (seed ${SEED})`, async t => {
  const random = seededRandom(SEED)
  const app = makeApp(CLIENTS * ROWS_EACH)
  t.after(() => app.remove())
  const last = new Map<number, number>()
  let written = 0
  for (let round = 1; round <= ROUNDS; round++) {
    const server = new ServeProcess(app.args)
    const { port } = await server.ready()
    const check = await RespClient.connect(port)
    for (const [id, value] of last) {
      const found = Number(await check.command('HGET', `users:${id}`, 'visits'))
      assert.ok(found >= value, `round ${round}: users:${id} is at ${found} after ${value} was acknowledged`)
    }
    check.close()
    const start = round * 1_000_000
    const clients = Array.from({ length: CLIENTS }, (_, client) => writeUntilKilled(port, client, start))
    await new Promise(resolve => setTimeout(resolve, 100 + random.below(300)))
    server.child.kill('SIGKILL')
    for (const acknowledged of await Promise.all(clients)) {
      for (const [id, value] of acknowledged) {
        last.set(id, value)
        written++
      }
    }
    await server.exited
  }
  t.diagnostic(`${written} rows with an acknowledged write checked`)
  assert.ok(written > ROUNDS * CLIENTS, 'the clients wrote something in every round')
})
