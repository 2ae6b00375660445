// Linearizability of single keys as clients see it: many connections, spread over two threads of a real server process.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServeProcess } from '../support/serve-process.ts'
import { checkHistory } from './checker.ts'
import { recordHistory } from './wire-history.ts'
import type { RecordOptions } from './wire-history.ts'

async function checkServer(options: Omit<RecordOptions, 'port'>): Promise<string> {
  const server = new ServeProcess(['--threads', '2', '--memory', '64mb'])
  try {
    const { port } = await server.ready()
    const history = await recordHistory({ port, ...options })
    assert.ok(history.length >= options.operations)
    const verdict = checkHistory(history)
    const { configurations, overlapping, operations, why } = verdict
    assert.equal(verdict.linearizable, true, `seed ${options.seed}, after ${operations} operations: ${why}`)
    assert.ok(overlapping > options.depth, 'connections met on a key')
    return `${operations} operations, at most ${overlapping} at once on a key, ${configurations} configurations`
  } finally {
    await server.interrupt()
  }
}

test('nine connections over two threads, eight hot keys: the history is linearizable', async t => {
  t.diagnostic(
    await checkServer({ keys: 'mixed', connections: 9, operations: 150_000, depth: 24, pipelines: 3, seed: 1 }),
  )
})
