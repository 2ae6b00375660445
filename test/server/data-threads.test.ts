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

test('MSET and MSETNX of several large values are seen whole by transactions', async t => {
  const clients = await connections(t)
  const keys = ['a', 'b', 'c', 'd']
  const state = { writing: true }
  // Lengths tell whose a value is, so that looking is quick.
  const write = async (client: RespClient, i: number): Promise<void> => {
    const pairs = keys.flatMap(key => [key, 'x'.repeat(40_000 + i)])
    for (let n = 0; n < 40; n++) {
      const replies = [client.command('MSET', ...pairs), client.command('DEL', ...keys)]
      replies.push(client.command('MSETNX', ...pairs))
      for (const reply of await Promise.all(replies)) assert.ok(!(reply instanceof Error))
    }
  }
  let looks = 0
  const look = async (client: RespClient): Promise<void> => {
    while (state.writing) {
      void client.command('MULTI')
      for (const key of keys) void client.command('STRLEN', key)
      const lengths = (await client.command('EXEC')) as number[]
      assert.equal(new Set(lengths).size, 1, String(lengths))
      looks++
    }
  }
  const reading = clients.slice(4).map(look)
  await Promise.all(clients.slice(0, 4).map(write))
  state.writing = false
  await Promise.all(reading)
  assert.ok(looks > 20, `${looks} looks`)
})
