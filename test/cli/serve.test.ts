// `serve` as a person meets it: what the terminal says, that the commands it proposes work, and that whatever is wrong at the
// start is one clear line and an exit code.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { RespClient } from '../support/resp-client.ts'
import { ServeProcess } from '../support/serve-process.ts'

let folder = ''
let servers: ServeProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-serve-'))
})
afterEach(async () => {
  for (const server of servers) {
    server.child.kill('SIGKILL')
    await server.exited
  }
  servers = []
  rmSync(folder, { recursive: true })
})

function serve(args: readonly string[], env?: Record<string, string>): ServeProcess {
  const server = new ServeProcess(['--threads=2', '--memory=32mb', ...args], { cwd: folder, env: env ?? {} })
  servers.push(server)
  return server
}

/** Runs to its end; expects nothing on stdout. */
async function refusal(
  args: readonly string[],
  env?: Record<string, string>,
): Promise<{ code: number | null; line: string }> {
  const server = serve(args, env)
  const code = await server.exited
  assert.equal(server.stdout, '')
  assert.match(server.stderr, /^[^\n]+\n$/, 'one line')
  return { code, line: server.stderr.trimEnd() }
}

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const citiesConfig = join(import.meta.dirname, '../../examples/cities/tidemark.config.ts')

describe('a plain cache', () => {
  test('says what listens where and proposes commands that work; Ctrl-C closes it in order', async () => {
    const server = serve([])
    const { port, adminPort } = await server.ready()
    assert.match(server.stdout, /^Tidemark is ready, with 2 threads and 32mb of memory\.\n/)
    assert.match(server.stdout, new RegExp(`Redis protocol  127\\.0\\.0\\.1:${port}\\n`))
    assert.match(server.stdout, /Configuration   none: a plain cache\n/)
    const client = await RespClient.connect(port)
    const replies = []
    for (const line of proposed(server)) replies.push(await client.command(...line.split(' ')))
    assert.deepEqual(replies.slice(0, 2), ['OK', 'hello'])
    assert.equal(typeof replies[2], 'number')
    assert.equal((await fetch(`http://127.0.0.1:${adminPort}/ready`)).status, 200)
    assert.equal(await server.interrupt(), 0)
    await client.closed
    assert.match(server.stdout, /\nClosing: .*\nClosed\.\n$/)
    assert.equal(server.stderr, '')
  })
  test('goes on, and closes in order, when nobody reads what it says any more', async () => {
    const server = serve([])
    const { port } = await server.ready()
    server.child.stdout!.destroy()
    server.child.stderr!.destroy()
    const client = await RespClient.connect(port)
    assert.equal(await client.command('PING'), 'PONG')
    client.close()
    assert.equal(await server.interrupt(), 0)
  })
  test('asks for the password of the environment, and does not print it', async () => {
    const server = serve([], { TIDEMARK_REQUIREPASS: 'open sesame' })
    const { port } = await server.ready()
    assert.match(server.stdout, /Redis protocol .* \(password required\)\n/)
    assert.doesNotMatch(server.stdout, /sesame/)
    const stranger = await RespClient.connect(port)
    assert.match(String(await stranger.command('GET', 'x')), /NOAUTH/)
    stranger.close()
    const friend = await RespClient.connect(port, { password: 'open sesame' })
    assert.equal(await friend.command('GET', 'x'), null)
    friend.close()
    assert.equal(await server.interrupt(), 0)
  })
})

function proposed(server: ServeProcess): string[] {
  const block = /^Try, .*:\n\n((?: {2}\S.*\n)+)/m.exec(server.stdout)
  assert.ok(block, server.stdout)
  const lines = block[1]!.trimEnd().split('\n')
  assert.equal(lines.length, 3)
  return lines.map(line => line.trim())
}

describe('the cities', () => {
  test('are made by the first start and served; what is written to them is there after the next', async () => {
    const data = join(folder, 'data')
    const first = serve(['--config', citiesConfig, '--data', data])
    const { port } = await first.ready()
    assert.match(
      first.stdout,
      /^Creating cities\.db 0% \(0 of 135,233 cities\)\n(?:Creating .*\n)+Creating .* 100% \(135,233 of 135,233 cities\)\n/,
    )
    assert.match(first.stdout, /Keyspace        cities:<id>  135,233 rows of table cities in .*cities\.db\n/)
    const client = await RespClient.connect(port)
    const [get, hgetall, hset] = proposed(first).map(line => line.split(' '))
    const row = JSON.parse(String(await client.command(...get!))) as Record<string, unknown>
    assert.equal(`cities:${String(row['id'])}`, get![1])
    const fields = await client.command(...hgetall!)
    assert.ok(Array.isArray(fields) && fields.includes('name') && fields.includes(row['name']))
    assert.deepEqual(hset!.slice(0, 3), ['HSET', get![1], 'population'])
    assert.equal(await client.command(...hset!), 0, 'its own value')
    assert.equal(await client.command('HSET', 'cities:2643743', 'population', '9000000'), 0)
    client.close()
    assert.equal(await first.interrupt(), 0)
    assert.deepEqual(
      readdirSync(data).filter(name => name.includes('creating')),
      [],
    )

    const second = serve(['--config', citiesConfig, '--data', data])
    const again = await RespClient.connect((await second.ready()).port)
    assert.doesNotMatch(second.stdout, /Creating/)
    assert.equal(await again.command('HGET', 'cities:2643743', 'population'), '9000000')
    again.close()
    assert.equal(await second.interrupt(), 0)
  })
})

describe('while a database is being made', () => {
  const slow = `
    import { writeFileSync } from 'node:fs'
    const create = async ({ file, progress, signal }) => {
      writeFileSync(file, 'half')
      progress(1, 2, 'halves')
      await new Promise(resolve => { setTimeout(resolve, 100_000); signal.addEventListener('abort', resolve) })
      signal.throwIfAborted()
    }
    export default { databases: { d: { kind: 'sqlite', file: 'd.db', create } } }`
  const halfMade = (): string[] => readdirSync(folder).filter(name => name.startsWith('d.db'))

  test('Ctrl-C ends the start and leaves nothing behind', async () => {
    const server = serve(['--config', write('slow.mjs', slow)])
    await server.says(/50%/)
    assert.equal(halfMade().length, 1)
    assert.equal(await server.interrupt(), 1, 'although the timer of `create` still runs')
    assert.match(
      server.stderr,
      /^tidemark: SETUP_FAILED databases\.d\.create: it was interrupted; the next start begins again\n$/,
    )
    assert.deepEqual(halfMade(), [])
  })
  test('a crash leaves no database, and the next start begins again', async () => {
    const server = serve(['--config', write('slow.mjs', slow)])
    await server.says(/50%/)
    server.child.kill('SIGKILL')
    await server.exited
    assert.equal(existsSync(join(folder, 'd.db')), false)
    const fails = write('fails.mjs', slow.replace('progress(1', "throw new Error('came by here'); progress(1"))
    const { code, line } = await refusal(['--config', fails])
    assert.deepEqual([code, line], [1, 'tidemark: SETUP_FAILED databases.d.create: came by here'])
    assert.deepEqual(halfMade(), [])
  })
})

describe('a start that cannot be', () => {
  test('with a port that is taken, be it by another server or by something else, names the setting', async () => {
    const server = serve([])
    const { port, adminPort } = await server.ready()
    const taken = await refusal([`--port=${port}`])
    assert.equal(taken.code, 1)
    assert.match(taken.line, new RegExp(`^tidemark: ADDRESS_TAKEN .*${port}.*--port`))
    const admin = await refusal([`--admin-port=${adminPort}`])
    assert.equal(admin.code, 1)
    assert.match(admin.line, new RegExp(`^tidemark: ADDRESS_TAKEN .*${adminPort}.*--admin-port`))
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    const third = await refusal([`--port=${(other.address() as AddressInfo).port}`])
    other.close()
    assert.match(third.line, /^tidemark: ADDRESS_TAKEN .*--port/)
    const create = "({ file }) => { throw new Error('made ' + file) }"
    const database = write(
      'makes.mjs',
      `export default { databases: { d: { kind: 'sqlite', file: 'd.db', create: ${create} } } }`,
    )
    const making = await refusal([`--config=${database}`, `--port=${port}`])
    assert.match(making.line, /^tidemark: ADDRESS_TAKEN /, 'no database is made for a server that cannot start')
  })
  test('with a data folder that another server uses, or that cannot be one, names the setting', async () => {
    const server = serve(['--data=d'])
    await server.ready()
    const locked = await refusal(['--data=d'])
    assert.equal(locked.code, 1)
    assert.match(locked.line, /^tidemark: DATA_LOCKED .*--data/)
    write('file', '')
    const blocked = await refusal(['--data=file/inside'])
    assert.equal(blocked.code, 1)
    assert.match(blocked.line, /^tidemark: DATA_UNWRITABLE .*--data/)
    assert.equal(await server.interrupt(), 0)
  })
  test('with an address that others can reach and no password names both settings', async () => {
    const { code, line } = await refusal(['--host=0.0.0.0'])
    assert.equal(code, 1)
    assert.match(line, /^tidemark: PASSWORD_REQUIRED .*host.*requirepass/i)
  })
  test('with an address that is none of this machine', async () => {
    const { code, line } = await refusal(['--host=203.0.113.7', '--requirepass=x'])
    assert.equal(code, 1)
    assert.match(line, /^tidemark: ADDRESS_REFUSED .*203\.0\.113\.7.*--host/)
  })
  test('with a configuration that is not there, does not parse, or is wrong', async () => {
    assert.deepEqual(await refusal(['--config=nothing.ts']), {
      code: 1,
      line: `tidemark: CONFIG_INVALID config: there is no file ${join(folder, 'nothing.ts')}`,
    })
    const broken = await refusal(['--config', write('broken.ts', 'export default {\n  port: = 1\n}\n')])
    assert.equal(broken.code, 1)
    assert.match(broken.line, /^tidemark: CONFIG_INVALID .*broken\.ts:2:9: SyntaxError/)
    const wrong = await refusal(['--config', write('wrong.ts', "export default { memory: 'lots' }")])
    assert.equal(wrong.code, 1)
    assert.match(wrong.line, /^tidemark: CONFIG_INVALID memory: got "lots", allowed is a size .*\(wrong\.ts\)$/)
  })
  test('with a database that is not there or is none, or a table that is not in it', async () => {
    const config = write(
      'tidemark.config.mjs',
      `
      export default {
        databases: { d: { kind: 'sqlite', file: 'd.db' } },
        keyspaces: { things: { database: 'd' } },
      }`,
    )
    const missing = await refusal([])
    assert.equal(missing.code, 1)
    assert.match(missing.line, /^tidemark: SETUP_FAILED databases\.d\.file: there is no .*d\.db; make it first/)
    write('d.db', 'this is no database, whatever its name may say it is. '.repeat(100))
    const none = await refusal(['--config', config])
    assert.equal(none.code, 1)
    assert.match(none.line, /^tidemark: SOURCE_\w+ .*d\.db/)
    rmSync(join(folder, 'd.db'))
    new DatabaseSync(join(folder, 'd.db')).close()
    const empty = await refusal([])
    assert.equal(empty.code, 1)
    assert.match(empty.line, /^tidemark: MAPPING_INVALID .*things/)
  })
  test('with a flag that is not there is a usage error', async () => {
    const server = serve(['--colour'])
    assert.equal(await server.exited, 2)
    assert.equal(server.stderr, 'tidemark: there is no flag --colour\nSee tidemark help serve.\n')
  })
})
