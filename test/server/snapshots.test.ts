// Snapshots of whole servers: the commands, the schedule, what a start does with a file, and what happens when one cannot be
// written. As processes: test/cli/snapshot.test.ts.
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, describe, test } from 'node:test'
import { startAdmin } from '../../src/admin/http.ts'
import { systemClock } from '../../src/base/clock.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { runSnapshotThread } from '../../src/server/snapshot-thread.ts'
import { type RunningServer, type ServerIo, startServer } from '../../src/server/supervisor.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { RespClient } from '../support/resp-client.ts'
import { eventually, testSettings } from './served-scene.ts'

interface Started {
  readonly server: RunningServer
  readonly client: RespClient
  readonly log: string[]
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-snapshots-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function start(
  t: TestContext,
  file: string | undefined,
  settings: Partial<ServerSettings> & { everyMs?: number } = {},
  io: Partial<ServerIo> = {},
): Promise<Started> {
  const log: string[] = []
  const { everyMs = 0, ...rest } = settings
  const snapshot = file === undefined ? undefined : { file, everyMs }
  const all = { clock: systemClock(), log: (line: string) => void log.push(line), startAdmin, ...io }
  const server = await startServer(testSettings({ snapshot, ...rest }), all)
  t.after(() => server.stop())
  const client = await RespClient.connect(server.port)
  t.after(() => client.close())
  return { server, client, log }
}

async function refusal(t: TestContext, file: string): Promise<TidemarkError> {
  const refused: unknown = await start(t, file).then(
    () => assert.fail('the server has started'),
    (thrown: unknown) => thrown,
  )
  assert.ok(refused instanceof TidemarkError, String(refused))
  return refused
}

async function stop({ server, client }: Started): Promise<void> {
  client.close()
  await server.stop()
}

async function fieldsOf(client: RespClient): Promise<Map<string, string>> {
  const lines = String(await client.command('INFO', 'persistence')).split('\r\n')
  return new Map(lines.filter(line => line.includes(':')).map(line => line.split(':') as [string, string]))
}

async function metricOf(server: RunningServer, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).text()
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
}

const errorText = (reply: unknown): string => (reply instanceof Error ? reply.message : `no error: ${String(reply)}`)

describe('the commands', () => {
  test('SAVE answers when the file is there; LASTSAVE, INFO and the metrics tell', async t => {
    const file = join(temporaryFolder(t), 'warm')
    const { server, client, log } = await start(t, file)
    assert.deepEqual(log, [`there is no snapshot ${file} yet: starting empty`])
    const startedSeconds = (await client.command('LASTSAVE')) as number
    assert.ok(Math.abs(startedSeconds - Date.now() / 1000) < 60)
    const before = await fieldsOf(client)
    assert.equal(before.get('rdb_last_save_time'), String(startedSeconds))
    assert.equal(before.get('rdb_last_bgsave_time_sec'), '-1')
    await client.command('MSET', 'a', '1', 'b', '2')
    assert.equal(await client.command('SAVE'), 'OK')
    const { length } = readFileSync(file)
    const fields = await fieldsOf(client)
    assert.equal(fields.get('loading'), '0')
    assert.equal(fields.get('rdb_bgsave_in_progress'), '0')
    assert.equal(fields.get('rdb_last_bgsave_status'), 'ok')
    assert.equal(fields.get('rdb_saves'), '1')
    assert.equal(fields.get('rdb_last_save_time'), String(await client.command('LASTSAVE')))
    assert.equal(await metricOf(server, 'tidemark_snapshot_records'), 2)
    assert.equal(await metricOf(server, 'tidemark_snapshot_bytes'), length)
    assert.equal(await metricOf(server, 'tidemark_snapshots_total'), 1)
    assert.ok((await metricOf(server, 'tidemark_snapshot_seconds')) > 0)
    assert.ok((await metricOf(server, 'tidemark_snapshot_last_success_seconds')) >= startedSeconds)
  })

  test('BGSAVE answers at once, and until it is done another is refused as Redis does', async t => {
    const file = join(temporaryFolder(t), 'warm')
    const { client } = await start(t, file)
    const busy = 'ERR Background save already in progress'
    const replies = await Promise.all([
      client.command('BGSAVE'),
      client.command('BGSAVE'),
      client.command('BGSAVE', 'schedule'),
      client.command('SAVE'),
      client.command('BGSAVE', 'now'),
      client.command('BGSAVE', 'SCHEDULE', 'now'),
      client.command('SAVE', 'now'),
    ])
    assert.equal(replies[0], 'Background saving started')
    const syntax = 'ERR syntax error'
    const arity = "ERR wrong number of arguments for 'save' command"
    assert.deepEqual(replies.slice(1).map(errorText), [busy, busy, busy, syntax, syntax, arity])
    assert.equal((await fieldsOf(client)).get('rdb_bgsave_in_progress'), '1')
    await eventually('the file is there', () => existsSync(file))
  })

  test('say which setting is missing where there is no path', async t => {
    const { server, client } = await start(t, undefined)
    for (const command of ['SAVE', 'BGSAVE']) {
      assert.match(errorText(await client.command(command)), /^SNAPSHOT_OFF .*--snapshot.*TIDEMARK_SNAPSHOT/)
    }
    assert.equal(typeof (await client.command('LASTSAVE')), 'number')
    await assert.rejects(server.snapshot(), { code: 'SNAPSHOT_OFF' })
  })

  test('SAVEs at the same time share snapshots, and each has what was written before it', async t => {
    const folder = temporaryFolder(t)
    const { server } = await start(t, join(folder, 'warm'), { threads: 2 })
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    const saveOne = async (client: RespClient, i: number): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        const key = `key:${i}:${round}`
        await client.command('SET', key, 'here')
        assert.equal(await client.command('SAVE'), 'OK')
        assert.ok(readFileSync(join(folder, 'warm')).includes(key), key)
      }
    }
    await Promise.all(clients.map(saveOne))
    const written = await metricOf(server, 'tidemark_snapshots_total')
    assert.ok(written >= 4 && written <= 16, `${written} snapshots for 32 SAVEs`)
    for (const client of clients) client.close()
  })

  test('others are served while a SAVE is written', async t => {
    const file = join(temporaryFolder(t), 'warm')
    const { server, client } = await start(t, file, { memoryBytes: 128 << 20 })
    const value = Buffer.alloc(100_000, 'v')
    for (let i = 0; i < 500; i++) void client.command('SET', `key:${i}`, value)
    await client.command('PING')
    const other = await RespClient.connect(server.port)
    const state = { saved: false }
    let answered = 0
    const save = client.command('SAVE').finally(() => (state.saved = true))
    for (; !state.saved; answered++) {
      assert.equal(await other.command('STRLEN', `key:${answered % 500}`), value.length)
      assert.equal(await other.command('SET', 'more', String(answered)), 'OK')
    }
    assert.equal(await save, 'OK')
    assert.ok(answered > 10, `${answered} answers meanwhile`)
    other.close()
  })
})

describe('a start', () => {
  test('finds what the last server had when it closed: values, hashes, times, and nothing that is a row', async t => {
    const folder = temporaryFolder(t)
    const database = join(folder, 'app.db')
    const sqlite = new DatabaseSync(database)
    sqlite.exec("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL); INSERT INTO users VALUES (1, 'Ada')")
    sqlite.close()
    const file = join(folder, 'warm')
    const first = await start(t, file)
    const { client } = first
    await client.command('SET', 'text', Buffer.from([0, 255, 13, 10]))
    await client.command('HSET', 'hash', 'field', 'value', 'other', '')
    await client.command('SET', 'soon', 'x', 'EX', '1000')
    await client.command('SET', 'gone', 'x', 'PX', '1')
    await client.command('SET', 'users:1', 'a plain key so far')
    await stop(first)
    assert.deepEqual(readdirSync(folder).sort(), ['app.db', 'warm'])

    const databases = [{ kind: 'sqlite' as const, name: 'app', file: database, pollMs: 25, busyTimeoutMs: 1000 }]
    const users = { name: 'users', database: 'app', table: 'users', columns: undefined }
    const keyspaces = [{ ...users, maxStalenessMs: 500, whenStale: 'source' as const }]
    const second = await start(t, file, { databases, keyspaces, threads: 2 })
    const { client: again, log } = second
    assert.match(
      log[0]!,
      /^snapshot .*warm loaded: 3 keys, 1 left out, whose keys are rows now \(\d+ bytes, \d\.\d s\)$/,
    )
    assert.equal(log.length, 1)
    assert.equal(await again.command('GET', 'text'), Buffer.from([0, 255, 13, 10]).toString())
    assert.deepEqual(await again.command('HGETALL', 'hash'), ['field', 'value', 'other', ''])
    const ttl = (await again.command('TTL', 'soon')) as number
    assert.ok(ttl > 900 && ttl <= 1000, String(ttl))
    assert.equal(await again.command('EXISTS', 'gone'), 0)
    assert.equal(await again.command('GET', 'users:1'), '{"id":1,"name":"Ada"}', 'the row, not what was kept')
    assert.equal((await fieldsOf(again)).get('rdb_last_load_keys_loaded'), '3')
    await again.command('DEL', 'hash', 'text')
    await stop(second)
    const third = await start(t, file)
    assert.deepEqual(await third.client.command('DBSIZE'), 1, 'the row is not in the snapshot')
  })

  test('with a file that is refused begins empty, and keeps that file when it writes its own', async t => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'warm')
    writeFileSync(file, 'something that somebody needs, and that is long enough')
    const first = await start(t, file)
    const line = `snapshot ${file} was refused, for it is no snapshot of Tidemark: starting empty; the next one moves it to ${file}.refused`
    assert.deepEqual(first.log, [line])
    assert.equal(await first.client.command('DBSIZE'), 0)
    assert.match(readFileSync(file, 'utf8'), /^something/)
    await first.client.command('SET', 'a', '1')
    await first.client.command('SAVE')
    assert.match(readFileSync(`${file}.refused`, 'utf8'), /^something/)
    await first.client.command('SAVE')
    assert.match(readFileSync(`${file}.refused`, 'utf8'), /^something/, 'the good one before did not take its place')
    await stop(first)
    const second = await start(t, file)
    assert.equal(await second.client.command('GET', 'a'), '1')
  })

  test('is refused where the folder is missing, the path is no file, or another server uses it', async t => {
    const folder = temporaryFolder(t)
    const missing = await refusal(t, join(folder, 'nowhere', 'warm'))
    assert.equal(missing.code, 'SNAPSHOT_UNWRITABLE')
    assert.match(missing.message, /nowhere.*ENOENT.*--snapshot.*TIDEMARK_SNAPSHOT/)
    const noFile = await refusal(t, folder)
    assert.equal(noFile.code, 'SNAPSHOT_UNWRITABLE')
    assert.match(noFile.message, /--snapshot.*it is no file.*TIDEMARK_SNAPSHOT/)
    const file = join(folder, 'warm')
    const first = await start(t, file)
    const used = await refusal(t, file)
    assert.equal(used.code, 'DATA_LOCKED')
    assert.match(used.message, /the snapshot .*warm is in use by process \d+ .*--snapshot/)
    await stop(first)
    assert.deepEqual(readdirSync(folder), ['warm'])
  })

  test('that is interrupted while it loads leaves the file as it was', async t => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'warm')
    const first = await start(t, file)
    await first.client.command('SET', 'a', '1')
    await stop(first)
    const before = readFileSync(file)
    const controller = new AbortController()
    const loadProgress = (): void => controller.abort(new Error('interrupted'))
    await assert.rejects(start(t, file, {}, { loadProgress, signal: controller.signal }), /^Error: interrupted$/)
    assert.deepEqual(readFileSync(file), before)
    assert.deepEqual(readdirSync(folder), ['warm'])
  })

  test('that fails after loading leaves the file as it was', async t => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'warm')
    const first = await start(t, file)
    await first.client.command('SET', 'a', '1')
    await stop(first)
    const before = readFileSync(file)
    const other = await start(t, undefined)
    await assert.rejects(start(t, file, { adminPort: other.server.adminPort }), { code: 'ADDRESS_TAKEN' })
    assert.deepEqual(readFileSync(file), before)
    assert.deepEqual(readdirSync(folder), ['warm'])
  })
})

test('the schedule writes whenever its time has come, and not before', async t => {
  const file = join(temporaryFolder(t), 'warm')
  const clock = new ManualClock()
  const { client } = await start(t, file, { everyMs: 60_000 }, { clock })
  const saves = async (): Promise<number> => Number((await fieldsOf(client)).get('rdb_saves'))
  clock.advance(59_999)
  assert.equal((await fieldsOf(client)).get('rdb_bgsave_in_progress'), '0')
  for (let i = 1; i <= 3; i++) {
    clock.advance(i === 1 ? 1 : 60_000)
    assert.equal((await fieldsOf(client)).get('rdb_bgsave_in_progress'), '1')
    for (let turn = 0; (await saves()) < i; turn++) assert.ok(turn < 100_000, `snapshot ${i}`)
  }
  assert.ok(existsSync(file))
  assert.equal(await saves(), 3)
})

test('a snapshot that cannot be written is told, counted and tried again; the server goes on', async t => {
  const folder = temporaryFolder(t)
  const inner = join(folder, 'inner')
  const file = join(inner, 'warm')
  mkdirSync(inner)
  const started = await start(t, file)
  const { server, client, log } = started
  await client.command('SET', 'a', '1')
  await client.command('SAVE')
  const good = readFileSync(file)
  renameSync(inner, join(folder, 'away'))
  const failed = /^SNAPSHOT_FAILED snapshot .*warm could not be written: ENOENT.*; the one before stays$/
  assert.match(errorText(await client.command('SAVE')), failed)
  assert.equal(await client.command('GET', 'a'), '1')
  assert.equal(log.filter(line => /could not be written/.test(line)).length, 1)
  assert.equal((await fieldsOf(client)).get('rdb_last_bgsave_status'), 'err')
  assert.equal(await metricOf(server, 'tidemark_snapshot_failures_total'), 1)
  assert.equal(await client.command('BGSAVE'), 'Background saving started')
  await eventually(
    'the second failure is told',
    () => log.filter(line => /could not be written/.test(line)).length === 2,
  )
  renameSync(join(folder, 'away'), inner)
  assert.deepEqual(readFileSync(file), good)
  await client.command('SET', 'b', '2')
  assert.equal(await client.command('SAVE'), 'OK')
  assert.equal((await fieldsOf(client)).get('rdb_last_bgsave_status'), 'ok')
  await stop(started)
})

test('a snapshot whose thread dies is a failure, and what the thread held is freed', async t => {
  const file = join(temporaryFolder(t), 'warm')
  const store = Store.create({ memoryBytes: 1 << 20, threads: 2, seed: 1 })
  const job = { file, keepOldAs: undefined, wallMs: 1 }
  const events: string[] = []
  const run = (thread: number): Promise<unknown> =>
    runSnapshotThread(
      { store: store.shared, thread, job },
      { begins: () => void events.push('begins'), died: () => void events.push('died') },
    )
  await assert.rejects(run(-1), /its thread died: .*thread number/)
  assert.deepEqual(events, ['died'])
  assert.deepEqual(await run(1), { records: 0, bytes: 80 })
  assert.deepEqual(events, ['died', 'begins'])
})
