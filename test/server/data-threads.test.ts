// Commands that read and change in one, from many connections over two threads: nothing is lost, and what is all or none
// is never mixed.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'

const CONNECTIONS = 12

async function connections(t: Parameters<typeof startTidemark>[0]): Promise<RespClient[]> {
  const { port } = await startTidemark(t, { threads: 2, memoryBytes: 32 << 20 })
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => RespClient.connect(port)))
  t.after(() => {
    for (const client of clients) client.close()
  })
  return clients
}

test('sums of all kinds count every addition', async t => {
  const clients = await connections(t)
  const times = 300
  await Promise.all(
    clients.flatMap((client, i) =>
      Array.from({ length: times }, (_, n) => [
        client.command('INCRBYFLOAT', 'float', '0.5'),
        client.command('HINCRBY', 'hash', 'n', 1),
        client.command('HINCRBYFLOAT', 'hash', 'float', '0.25'),
        client.command('BITFIELD', 'bits', 'INCRBY', 'u32', '#3', 1),
        client.command('SETBIT', 'flags', i * times + n, 1),
        client.command('SETRANGE', 'range', i * times + n, 'x'),
        client.command('HSETNX', 'fields', `f${n}`, i),
      ]).flat(),
    ),
  )
  const client = clients[0]!
  const total = CONNECTIONS * times
  assert.equal(await client.command('GET', 'float'), String(total / 2))
  assert.deepEqual(await client.command('HMGET', 'hash', 'n', 'float'), [String(total), String(total / 4)])
  assert.deepEqual(await client.command('BITFIELD_RO', 'bits', 'GET', 'u32', '#3'), [total])
  assert.equal(await client.command('BITCOUNT', 'flags'), total)
  assert.equal(await client.command('GET', 'range'), 'x'.repeat(total))
  assert.equal(await client.command('HLEN', 'fields'), times)
})

test('of MSETNX at once one wins, and all values are its own, larger than a segment or not', async t => {
  const clients = await connections(t)
  for (const bytes of [10, 50_000]) {
    for (let round = 0; round < 15; round++) {
      const keys = [1, 2, 3].map(n => `${bytes}:${round}:${n}`)
      // Each in an order of its own.
      const replies = await Promise.all(
        clients.map((client, i) => {
          const value = String.fromCharCode(97 + i).repeat(bytes)
          const order = i % 2 === 0 ? keys : keys.toReversed()
          return client.command('MSETNX', ...order.flatMap(key => [key, value]))
        }),
      )
      const winner = replies.indexOf(1)
      assert.deepEqual(replies.filter(reply => reply !== 0), [1]) // prettier-ignore
      const value = String.fromCharCode(97 + winner).repeat(bytes)
      assert.deepEqual(await clients[0]!.command('MGET', ...keys), [value, value, value])
      await clients[0]!.command('DEL', ...keys)
    }
  }
})

test('MSET of several large values is seen whole by transactions', async t => {
  const clients = await connections(t)
  const writers = clients.slice(0, 4)
  const readers = clients.slice(4)
  await clients[0]!.command('MSET', 'a', 'x'.repeat(50_000), 'b', 'x'.repeat(50_000))
  const writes = writers.flatMap((client, i) =>
    Array.from({ length: 40 }, () => {
      const value = String.fromCharCode(97 + i).repeat(50_000)
      return client.command('MSET', 'a', value, 'b', value)
    }),
  )
  const reads = readers.flatMap(client =>
    Array.from({ length: 40 }, async () => {
      void client.command('MULTI')
      void client.command('GET', 'a')
      void client.command('GET', 'b')
      const [a, b] = (await client.command('EXEC')) as string[]
      assert.ok(a!.length === 50_000 && a === b, `${a![0]} and ${b![0]}`)
    }),
  )
  await Promise.all([...writes, ...reads])
})
