// Linearizability of the store itself, and of the handlers of commands on it: threads that read without a lock and change under it, on keys as hot as they get. Instants
// are drawn from one atomic counter, so that the history says nothing that was not so.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Store } from '../../src/store/store.ts'
import { checkHistory } from './checker.ts'
import type { Operation } from './checker.ts'
import type { Output } from './register.ts'
import { NOTHING, storeKinds, TORN } from './recording.ts'
import type { Columns, ThreadLoad } from './recording.ts'

async function columnsOf(module: string, load: ThreadLoad): Promise<Columns> {
  const worker = new Worker(new URL(module, import.meta.url), { workerData: load })
  let columns: Columns | undefined
  worker.on('message', (message: Columns) => {
    columns = message
  })
  const [code] = (await once(worker, 'exit')) as [number]
  assert.equal(code, 0)
  return columns!
}

function outputOf(kind: string, value: number): Output {
  if (value === TORN) return 'torn'
  if (kind === 'set') return 'OK'
  if (kind === 'setnx' || kind === 'del' || kind === 'incr') return value
  return value === NOTHING ? null : String(value)
}

function* operationsOf(client: number, columns: Columns): Generator<Operation> {
  for (let i = 0; i < columns.kind.length; i++) {
    const kind = storeKinds[columns.kind[i]!]!
    yield {
      client,
      key: `hot:${columns.key[i]}`,
      kind,
      argument: String(columns.argument[i]),
      call: columns.call[i]!,
      response: columns.response[i]!,
      output: outputOf(kind, columns.output[i]!),
    }
  }
}

async function checkThreads(module: string, threads: number, operations: number, seed: number): Promise<string> {
  const store = Store.create({ memoryBytes: 64 << 20, threads: threads + 1, seed })
  const clock = new SharedArrayBuffer(8)
  const loads = Array.from({ length: threads }, (_, i) => {
    const share = Math.ceil(operations / threads)
    return columnsOf(module, { shared: store.shared, clock, thread: i + 1, threads, keys: 4, operations: share, seed })
  })
  const history: Operation[] = []
  for (const [client, columns] of (await Promise.all(loads)).entries()) {
    for (const operation of operationsOf(client, columns)) history.push(operation)
  }
  assert.ok(history.length >= operations)
  assert.equal(store.statistics().evicted, 0)
  const verdict = checkHistory(history)
  assert.equal(verdict.linearizable, true, `seed ${seed}, after ${verdict.operations} operations: ${verdict.why}`)
  assert.ok(verdict.overlapping >= 2, 'threads met on a key')
  store.check()
  const { configurations, overlapping } = verdict
  return `${history.length} operations, at most ${overlapping} at once on a key, ${configurations} configurations`
}

test('two threads, a million operations on four keys: the history is linearizable', async t => {
  t.diagnostic(await checkThreads('store-worker.ts', 2, 1_000_000, 1))
})

test('more threads than cores, which lose the core in the middle of an operation: the same', async t => {
  t.diagnostic(await checkThreads('store-worker.ts', 5, 200_000, 2))
})

test('two threads that run the handlers of commands, 400,000 operations on four keys: the same', async t => {
  t.diagnostic(await checkThreads('command-worker.ts', 2, 400_000, 3))
})
