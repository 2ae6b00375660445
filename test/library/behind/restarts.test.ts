// Writing behind over the end of the process: what was acknowledged is read at the next start, before the source has it, and
// comes to the source. Not for: a real process that is killed (kill.test.ts).
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { jsonCodec } from '../../../src/index.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { Functions, refused } from '../scene.ts'
import { BehindScene, settle } from './behind-scene.ts'

const fresh = { maxStaleness: 0 } as const

test('what was acknowledged is read at the next start, and sent without being asked for', async t => {
  const scene = new BehindScene(t, { a: 'old', b: 'old' })
  const { values } = scene.start({ write: { maxDelay: '1h' } })
  await values.set('a', 'new')
  await values.delete('b')
  await values.set('c', new Map([['since', new Date(0)]]))
  scene.kill()
  const next = scene.start({ write: { maxDelay: '1s' } }).values
  assert.equal(await next.get('a'), 'new')
  assert.equal(await next.get('b', fresh), undefined)
  assert.deepEqual(await next.get('c'), new Map([['since', new Date(0)]]))
  assert.deepEqual([...scene.functions.rows], [['a', 'old'], ['b', 'old']]) // prettier-ignore
  scene.kill()
  scene.start({ write: { maxDelay: '1s' } })
  await scene.pass(1_000)
  assert.deepEqual([...scene.functions.rows], [['a', 'new'], ['c', new Map([['since', new Date(0)]])]]) // prettier-ignore
  scene.kill()
  const calls = scene.functions.stores.length
  assert.equal(scene.start().values.stats().behind, undefined)
  await scene.pass(1_000)
  assert.ok(scene.functions.stores.length <= calls + 1, 'what is confirmed is not sent again and again')
})

test('what was on its way when the process ended is sent again', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { maxDelay: 0 } })
  scene.functions.hold()
  await values.set('a', 1)
  await settle()
  assert.equal(scene.functions.stores.length, 1)
  scene.kill()
  scene.functions.before = () => Promise.resolve()
  await scene.start().values.flush()
  assert.deepEqual([...scene.functions.rows], [['a', 1]])
})

test('with another codec the journal is not opened; with the one that it was written with nothing is lost', async t => {
  const scene = new BehindScene(t)
  await scene.start({ write: { maxDelay: '1h' } }).values.set('a', { n: 1 })
  scene.kill()
  const other = scene.start({ keyspace: { codec: jsonCodec() } })
  await refused(() => other.values.get('a'), 'JOURNAL_UNREADABLE', /'items:a' waits in the journal and cannot be read \(codec\)/) // prettier-ignore
  await refused(() => other.values.set('b', 1), 'JOURNAL_UNREADABLE')
  assert.equal(other.errors.length, 1, 'and told before anybody asks')
  scene.kill()
  const { values } = scene.start({ keyspace: { version: 2 } })
  assert.deepEqual(await values.get('a'), { n: 1 }, 'the version is that of values in a tier')
})

test('values are encrypted in the journal where a key ring is given, and come back under a new key', async t => {
  const scene = new BehindScene(t)
  const keys = { first: Buffer.alloc(32, 1), second: Buffer.alloc(32, 2) }
  const write = { maxDelay: '1h' } as const
  const one = scene.start({ write, tide: { journal: { directory: 'j' }, encryption: { current: 'first', keys } } })
  await one.values.set('a', 'a very secret value')
  const written = scene.disk.files().map(file => scene.disk.content(file).toString('latin1'))
  assert.ok(written.length > 0 && written.every(content => !content.includes('secret')))
  scene.kill()
  const two = scene.start({ write, tide: { journal: { directory: 'j' }, encryption: { current: 'second', keys } } })
  assert.equal(await two.values.get('a'), 'a very secret value')
  scene.kill()
  const { second } = keys
  const three = scene.start({
    tide: { journal: { directory: 'j' }, encryption: { current: 'second', keys: { second } } },
  })
  await refused(() => three.values.get('a'), 'JOURNAL_UNREADABLE', /\(key\)/)
})

test('a process that ends in the middle of an append has not acknowledged it; it is there, or it is not', async t => {
  for (let at = 0; at < 12; at++) {
    const scene = new BehindScene(t, {}, at)
    const { values } = scene.start({ plan: { at, fault: 'kill', shortWrites: true } })
    let acknowledged = false
    void values.set('a', 1).then(() => (acknowledged = true)).catch(() => {}) // prettier-ignore
    await scene.pass(0)
    scene.kill()
    const next = scene.start().values
    const read = await next.get('a')
    assert.ok(read === 1 || (read === undefined && !acknowledged), `${at}: ${String(read)} ${acknowledged}`)
  }
})

test('a folder is for one process and one keyspace at a time, and the folder is said to be in use', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-behind-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const open = (): Tidemark => new Tidemark({ journal: { directory } })
  const one = open()
  const functions = new Functions()
  const values = one.keyspace('items', { source: functions, write: 'behind' })
  await values.set('a', 1)
  const two = open()
  const errors: unknown[] = []
  two.on('error', ({ error }) => errors.push(error))
  const others = two.keyspace('items', { source: functions, write: 'behind' })
  await refused(() => others.get('a'), 'JOURNAL_LOCKED', new RegExp(`in use by process ${process.pid}`))
  const beside = two.keyspace('beside', { source: functions, write: 'behind' })
  await beside.set('b', 1)
  await one.close()
  assert.equal(functions.rows.get('a'), 1)
  assert.equal(await others.get('a'), 1, 'and is free once the other is closed')
  await two.close()
  assert.deepEqual(readdirSync(directory).sort(), ['beside.behind', 'items.behind'])
  assert.equal(functions.rows.get('b'), 1)
})
