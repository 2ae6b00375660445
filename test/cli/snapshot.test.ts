// Snapshots as a person meets them: a server as a process of its own, its signals, what its terminal says, and what is left when
// it is killed or the disk is full.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import { RespClient } from '../support/resp-client.ts'
import { ServeProcess } from '../support/serve-process.ts'

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-warm-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function serve(
  t: TestContext,
  folder: string,
  args: readonly string[],
  env: Record<string, string> = {},
): ServeProcess {
  const server = new ServeProcess(['--threads=2', '--memory=128mb', ...args], { cwd: folder, env })
  t.after(async () => {
    server.child.kill('SIGKILL')
    await server.exited
  })
  return server
}

async function connect(server: ServeProcess): Promise<RespClient> {
  return RespClient.connect((await server.ready()).port)
}

/** Waits while the server lives, and not for ever. */
async function until(server: ServeProcess, what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && server.child.exitCode === null && server.child.signalCode === null; turn++) {
    if (holds()) return
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  throw new Error(`never: ${what}\n${server.stdout}${server.stderr}`)
}

function logged(server: ServeProcess, pattern: RegExp): Promise<void> {
  return until(server, String(pattern), () => pattern.test(server.stderr))
}

const large = Buffer.alloc(250_000, 'large value ')

async function fill(client: RespClient, name: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) void client.command('SET', `${name}:${i}`, large)
  await client.command('PING')
}

describe('a restart', () => {
  test('is warm: what was there when Ctrl-C came is there again', async t => {
    const folder = temporaryFolder(t)
    const first = serve(t, folder, ['--snapshot', 'warm'], { TIDEMARK_SNAPSHOT_EVERY: '5m' })
    const client = await connect(first)
    assert.match(first.stdout, /\n {2}Snapshot {8}\/.*\/warm, written every 5m and at the end\n/)
    await client.command('SET', 'text', 'value')
    await client.command('HSET', 'hash', 'field', 'value')
    await client.command('SET', 'soon', 'x', 'EX', '100')
    assert.equal(await first.interrupt(), 0)
    assert.deepEqual(readdirSync(folder), ['warm'])

    const second = serve(t, folder, ['--snapshot', 'warm'])
    const again = await connect(second)
    assert.match(second.stderr, /^snapshot \/.*\/warm loaded: 3 keys \(\d+ bytes, \d\.\d s\)\n$/)
    assert.equal(await again.command('GET', 'text'), 'value')
    assert.equal(await again.command('HGET', 'hash', 'field'), 'value')
    const ttl = (await again.command('TTL', 'soon')) as number
    assert.ok(ttl > 0 && ttl <= 100, String(ttl))
    assert.equal(await second.interrupt(), 0)
  })

  test('with a damaged file says so in one line and begins empty', async t => {
    const folder = temporaryFolder(t)
    const first = serve(t, folder, ['--snapshot', 'warm'])
    const client = await connect(first)
    await fill(client, 'key', 8)
    await first.interrupt()
    const bytes = readFileSync(join(folder, 'warm'))
    bytes[bytes.length - 1000]! ^= 4
    writeFileSync(join(folder, 'warm'), bytes)
    const second = serve(t, folder, ['--snapshot', 'warm'])
    assert.equal(await (await connect(second)).command('DBSIZE'), 0)
    assert.match(second.stderr, /^snapshot \/.* was refused, for it is damaged at byte \d+: starting empty; [^\n]*\n$/)
    assert.equal(await second.interrupt(), 0)
    assert.deepEqual(readdirSync(folder).sort(), ['warm', 'warm.refused'])
  })

  test('where no snapshot can be written does not begin, and names the setting', async t => {
    const server = serve(t, temporaryFolder(t), ['--snapshot', '/proc/nowhere/warm'])
    assert.equal(await server.exited, 1)
    assert.equal(server.stdout, '')
    assert.match(server.stderr, /^tidemark: SNAPSHOT_UNWRITABLE [^\n]*\/proc\/nowhere\/warm[^\n]*--snapshot[^\n]*\n$/)
    const lost = serve(t, temporaryFolder(t), ['--snapshot-every', '1m'])
    assert.equal(await lost.exited, 1)
    assert.match(lost.stderr, /snapshot\.every.*--snapshot/)
  })
})

describe('a signal', { skip: process.platform === 'win32' }, () => {
  test('SIGUSR2 writes a snapshot, and the server goes on', async t => {
    const folder = temporaryFolder(t)
    const server = serve(t, folder, ['--snapshot', 'warm'])
    const client = await connect(server)
    await client.command('SET', 'a', 'by signal')
    server.child.kill('SIGUSR2')
    await logged(server, /^a snapshot was begun$/m)
    await until(server, 'the file is there', () => existsSync(join(folder, 'warm')))
    assert.equal(await client.command('GET', 'a'), 'by signal')
    assert.ok(readFileSync(join(folder, 'warm')).includes('by signal'))
    assert.equal(await server.interrupt(), 0)
  })

  test('SIGUSR2 without a path is told and does no harm', async t => {
    const server = serve(t, temporaryFolder(t), [])
    const client = await connect(server)
    server.child.kill('SIGUSR2')
    await logged(server, /^no snapshot was begun: no path for snapshots is set: start with --snapshot .*$/m)
    assert.equal(await client.command('PING'), 'PONG')
    assert.equal(await server.interrupt(), 0)
  })

  test('SIGKILL in the middle of a snapshot leaves the one before', async t => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'warm')
    const server = serve(t, folder, ['--snapshot', 'warm'])
    const client = await connect(server)
    await client.command('SET', 'a', 'before')
    await client.command('SAVE')
    const before = readFileSync(file)
    await fill(client, 'key', 400)
    await client.command('BGSAVE')
    const unfinished = `${file}.tmp`
    const bytesSoFar = (): number => statSync(unfinished, { throwIfNoEntry: false })?.size ?? 0
    await until(server, 'some of the file is there', () => bytesSoFar() >= 5_000_000)
    server.child.kill('SIGKILL')
    await server.exited
    assert.ok(existsSync(unfinished), 'it was killed in the middle')
    assert.deepEqual(readFileSync(file), before)
    const again = serve(t, folder, ['--snapshot', 'warm'])
    const reader = await connect(again)
    assert.match(again.stderr, /loaded: 1 key /)
    assert.equal(await reader.command('GET', 'a'), 'before')
    assert.equal(await again.interrupt(), 0)
    assert.deepEqual(readdirSync(folder), ['warm'], 'what the killed one left is gone')
  })
})

const prlimit = spawnSync('prlimit', ['--version']).error === undefined ? false : 'prlimit is not installed'
if (prlimit !== false && process.env['TIDEMARK_NO_SKIP'] === '1') throw new Error(prlimit)

test(
  'a disk that takes no more is told in one line; reads and writes go on, and the file of before stays',
  { skip: prlimit },
  async t => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'warm')
    const server = serve(t, folder, ['--snapshot', 'warm'])
    const client = await connect(server)
    await client.command('SET', 'a', 'before')
    await client.command('SAVE')
    const before = readFileSync(file)
    // As near to a full disk as one gets without being root: no file may grow beyond this.
    const limited = spawnSync('prlimit', ['--pid', String(server.child.pid), '--fsize=1500000:unlimited'])
    assert.equal(limited.status, 0, String(limited.stderr))
    await fill(client, 'key', 20)
    const reply = await client.command('SAVE')
    assert.ok(reply instanceof Error && /^SNAPSHOT_FAILED .*EFBIG/.test(reply.message), String(reply))
    assert.match(
      server.stderr,
      /^there is no .*\nsnapshot \/.*\/warm could not be written: EFBIG[^\n]*; the one before stays\n$/,
    )
    assert.deepEqual(readFileSync(file), before)
    assert.deepEqual(readdirSync(folder).sort(), ['warm', 'warm.lock'])
    assert.equal(await client.command('STRLEN', 'key:3'), large.length)
    assert.equal(await client.command('SET', 'b', '2'), 'OK')
    spawnSync('prlimit', ['--pid', String(server.child.pid), '--fsize=unlimited:unlimited'])
    assert.equal(await client.command('SAVE'), 'OK')
    assert.ok(statSync(file).size > 4_000_000)
    assert.equal(await server.interrupt(), 0)
  },
)
