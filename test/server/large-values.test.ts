// The largest values over the wire: one of 64 MiB is stored and read, one byte more is refused with the limit and the
// connection goes on, and what is larger than any argument may be is refused before it is read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'

test('a value of 64 MiB comes back as it was, and larger ones are refused clearly', async t => {
  const server = await startTidemark(t, { memoryBytes: 600 << 20 })
  const client = await RespClient.connect(server.port, { exact: true })
  t.after(() => client.close())
  assert.equal(limits.valueBytesMax, 64 << 20)
  const value = Buffer.alloc(limits.valueBytesMax + 1, 'tidemark\0\r\n')
  const largest = value.subarray(1)
  assert.equal(await client.command('SET', 'largest', largest), 'OK')
  assert.ok(largest.equals((await client.command('GET', 'largest')) as Buffer))
  assert.match(
    String(await client.command('SET', 'larger', value)),
    /VALUE_TOO_LARGE a value of 67108865 bytes: values may have up to 67108864 bytes \(valueBytesMax\)/,
  )
  assert.match(String(await client.command('APPEND', 'largest', 'x')), /VALUE_TOO_LARGE a value of 67108865 bytes/)
  assert.equal(await client.command('STRLEN', 'largest'), BigInt(limits.valueBytesMax))
  client.raw(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${limits.argumentBytesMax + 1}\r\n`)
  assert.match(String(await client.reply()), /ERR Protocol error: invalid bulk length/)
  await client.closed
})
