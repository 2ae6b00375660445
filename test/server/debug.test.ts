// DEBUG SLEEP: refused unless the setting allows it, and then it takes its time. (Replies: test/wire/recordings/debug.txt.)
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'

const NOT_ALLOWED = /^ReplyError: ERR DEBUG command not allowed|^ERR DEBUG command not allowed/

test('DEBUG is refused unless it is enabled', async t => {
  const server = await startTidemark(t)
  const client = await RespClient.connect(server.port)
  t.after(() => client.close())
  assert.match(String(await client.command('DEBUG', 'SLEEP', '0')), NOT_ALLOWED)
  assert.match(
    String(await client.command('CONFIG', 'SET', 'enable-debug-command', 'yes')),
    /can't set immutable config/,
  )
})

for (const debugCommand of ['local', 'yes'] as const) {
  test(`DEBUG SLEEP takes as long as it is told, with enableDebugCommand ${debugCommand}`, async t => {
    const server = await startTidemark(t, { debugCommand })
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    const clock = systemClock()
    const startedMs = clock.monotonicMs()
    assert.equal(await client.command('DEBUG', 'SLEEP', '0.05'), 'OK')
    assert.ok(clock.monotonicMs() - startedMs >= 50)
    assert.deepEqual(await client.command('CONFIG', 'GET', 'enable-debug-command'), [
      'enable-debug-command',
      debugCommand,
    ])
  })
}
