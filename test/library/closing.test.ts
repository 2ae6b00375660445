// Closing: what is under way ends, calls after it reject, nothing hangs, and the process ends by itself. And nothing that fails
// is left unhandled.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { Tidemark } from '../../src/library/tidemark.ts'
import { sqlite } from '../../src/sqlite.ts'
import { startRedis } from '../support/redis-server.ts'
import { Functions, open, refused, settle, throwsWith } from './scene.ts'

const root = join(import.meta.dirname, '..', '..')
const CHILD_MS = 60_000

/** Runs a module that uses `tidemark`; resolves with what it printed once it has ended by itself. */
async function run(t: TestContext, body: string): Promise<string> {
  const source = `
    import { createTidemark } from '${root}/src/index.ts'
    import { sqlite } from '${root}/src/sqlite.ts'
    process.on('unhandledRejection', error => { console.log('unhandled', error); process.exitCode = 3 })
    ${body}`
  const main = join(folder(t), 'main.mjs')
  writeFileSync(main, source)
  const child = spawn(process.execPath, ['--conditions=tidemark-source', main], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  child.stdout.on('data', data => (printed += String(data)))
  child.stderr.on('data', data => (printed += String(data)))
  const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_MS)
  const [code, signal] = await new Promise<[number | null, string | null]>(resolve => {
    child.once('exit', (...ended) => resolve(ended))
  })
  clearTimeout(timer)
  assert.deepEqual([code, signal], [0, null], printed)
  return printed
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-closing-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function file(t: TestContext): string {
  const path = join(folder(t), 'app.db')
  const database = new DatabaseSync(path)
  database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'ann')`) // prettier-ignore
  database.close()
  return path
}

void test('a process that closes its caches ends by itself: functions, own values, tables', async t => {
  const printed = await run(
    t,
    `
    const tide = await createTidemark()
    const functions = tide.keyspace('f', { source: { load: ids => new Map(ids.map(id => [id, id])) } })
    const users = tide.keyspace('users', { source: sqlite(${JSON.stringify(file(t))}).table('users') })
    tide.keyspace('unused', { source: sqlite('/nowhere/x.db').table('users') })
    console.log(await functions.get('1'), (await users.get('1')).name, await tide.getOrSet('a', () => 'built'))
    await tide.close()
    await tide.close()`,
  )
  assert.equal(printed, '1 ann built\n')
})

void test('a process that never closes a cache without a database ends all the same', async t => {
  const printed = await run(
    t,
    `
    const tide = await createTidemark()
    console.log(await tide.getOrSet('a', () => 'built', { ttl: '1h' }))
    console.log(await tide.keyspace('f', { source: { load: ids => new Map(ids.map(id => [id, id])) } }).get('1'))`,
  )
  assert.equal(printed, 'built\n1\n')
})

void test('a process ends that closes while its database opens, fails to, or works', async t => {
  const path = JSON.stringify(file(t))
  const printed = await run(
    t,
    `
    for (const wait of [false, true]) {
      await using tide = await createTidemark()
      const users = tide.keyspace('users', { source: sqlite(${path}).table('users') })
      const none = tide.keyspace('none', { source: sqlite('/nowhere/x.db').table('users') })
      const reading = Promise.allSettled([users.get('1'), none.get('1')])
      if (wait) await reading
      const working = Promise.allSettled([users.get('2'), users.set('3', { id: 3, name: 'c' }), none.get('2')])
      await tide.close()
      for (const { reason } of [...(await reading), ...(await working)]) {
        if (reason !== undefined && !/nowhere|closed|SHUTTING/.test(reason.message)) console.log(reason)
      }
    }
    console.log('closed')`,
  )
  assert.equal(printed, 'closed\n')
})

void test('a process ends that closes its part of a shared tier, be it there or not', async t => {
  const redis = await startRedis()
  if (redis === undefined) return t.skip('redis-server is not installed')
  t.after(() => redis.stop())
  const printed = await run(
    t,
    `
    for (const port of [${redis.port}, 1]) {
      const tide = await createTidemark({ tier: 'valkey://127.0.0.1:' + port })
      console.log(await tide.getOrSet('a', () => 'built', { tags: ['t'] }))
      await tide.close()
    }`,
  )
  assert.equal(printed, 'built\nbuilt\n')
})

void test('after close everything rejects, and nothing is in memory', async t => {
  const { tide } = open(t)
  const functions = new Functions({ 1: 1 })
  const users = tide.keyspace('users', { source: functions })
  await users.get('1')
  await tide.set('a', 1)
  await tide.close()
  assert.equal(users.peek('1'), undefined)
  assert.equal(tide.values.peek('a'), undefined)
  for (const call of [
    () => users.get('1'),
    () => users.getMany(['1']),
    () => users.set('1', 2),
    () => users.update('1', () => 2),
    () => users.delete('1'),
    () => users.invalidate('1'),
    () => users.getOrSet('1', () => 2),
    () => tide.get('a'),
    () => tide.set('a', 2),
    () => tide.delete('a'),
    () => tide.getOrSet('a', () => 2),
  ]) {
    await refused(call, 'SHUTTING_DOWN')
  }
  throwsWith(() => tide.keyspace('late'), 'SHUTTING_DOWN', /closed/)
  assert.deepEqual(functions.loads, [['1']])
  assert.equal(functions.stores.length, 0)
})

void test('a tide that was closed before its first call opens nothing', async t => {
  const path = file(t)
  const tide = new Tidemark({})
  const users = tide.keyspace('users', { source: sqlite(path).table('users') })
  await tide.close()
  await refused(() => users.get('1'), 'SHUTTING_DOWN')
})

void test('what is under way when it is closed ends, one way or the other', async t => {
  const { tide, clock } = open(t)
  const functions = new Functions({ 1: 1 })
  const users = tide.keyspace('users', { source: functions })
  const release = functions.hold('after')
  const working = [users.get('1'), users.set('2', 2), tide.getOrSet('a', () => settle().then(() => 3))]
  await settle()
  const closing = tide.close()
  release()
  assert.deepEqual(await Promise.all(working), [1, 2, 3])
  await closing
  assert.equal(functions.rows.get('2'), 2)
  clock.advance(60_000)
})

void test('nothing that fails in the background is left unhandled', async t => {
  const unhandled: unknown[] = []
  const heard = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', heard)
  t.after(() => process.off('unhandledRejection', heard))
  const { tide, clock } = open(t)
  const functions = new Functions({ 1: 1 })
  const users = tide.keyspace('users', { source: functions })
  functions.before = () => Promise.reject(new Error('down'))
  const controller = new AbortController()
  const { signal } = controller
  const calls = [
    users.get('1', { signal }),
    users.getMany(['1', '2'], { signal }),
    users.set('1', 2, { signal }),
    users.getOrSet('3', () => Promise.reject(new Error('build')), { signal }),
    tide.getOrSet('a', () => settle().then(() => Promise.reject(new Error('build'))), { signal }),
    tide.getOrSet('a', () => 1, { tags: ['t'], signal }),
  ]
  controller.abort()
  await Promise.allSettled(calls)
  functions.before = () => new Promise(() => {})
  await Promise.allSettled([users.get('4', { signal: AbortSignal.abort() }), users.update('4', () => 1, { signal })])
  const hanging = users.get('5').catch(() => {})
  await settle()
  clock.advance(20_000)
  await hanging
  tide.on('miss', () => {
    throw new Error('listener')
  })
  tide.on('error', () => {
    throw new Error('listener of errors')
  })
  await users.get('6', { signal: AbortSignal.abort() }).catch(() => {})
  await tide.get('nothing')
  await settle()
  assert.deepEqual(unhandled, [])
})
