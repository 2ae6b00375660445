// A grid ends its own processes and no others.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { known, runs, signal } from './grid-state.ts'

function sleeper(t: TestContext): { readonly pid: number; readonly ended: Promise<unknown> } {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  return { pid: child.pid!, ended: once(child, 'exit') }
}

test('a process is known again as long as it runs, and a signal reaches it', async t => {
  const { pid, ended } = sleeper(t)
  const target = known('sleeper', pid)
  assert.equal(runs(target), true)
  assert.equal(signal(target, 'SIGTERM'), true)
  await ended
  assert.equal(runs(target), false)
  assert.equal(signal(target, 'SIGTERM'), false)
})

test('another process with the same pid is left alone', t => {
  const { pid } = sleeper(t)
  const earlier = { ...known('sleeper', pid), started: known('self', process.pid).started }
  assert.equal(runs(earlier), false)
  assert.equal(signal(earlier, 'SIGKILL'), false)
  assert.equal(runs(known('sleeper', pid)), true)
})

test('a pid that nobody has is no process', () => {
  assert.equal(runs(known('nobody', 2 ** 30)), false)
})
