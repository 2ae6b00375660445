// The example service, as a process of its own: what its routes answer, what it shows of writes that go around it, what it does under
// load, and how it ends. Right answers are asserted, and how long they take is not.
import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { guestFolder } from '../support/user-project.ts'

const root = resolve(import.meta.dirname, '../..')
const LOAD_S = 2
/** Ten times the bound: what is not seen by then is not going to be. */
const SEEN_MS = 5_000
const END_MS = 20_000

interface LoadRequest {
  readonly method: 'GET' | 'PUT'
  readonly path: string
  readonly body?: string
}

interface LoadResult {
  readonly errors: number
  readonly timeouts: number
  readonly non2xx: number
  readonly '2xx': number
}

type Autocannon = (options: {
  readonly url: string
  readonly connections: number
  readonly duration: number
  readonly requests: readonly LoadRequest[]
}) => Promise<LoadResult>

const put = (name: string, country = 'GB'): RequestInit => ({ method: 'PUT', body: JSON.stringify({ name, country }) })

describe('the example service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-service-'))
  const file = join(folder, 'service.db')
  let child: ChildProcessByStdio<null, Readable, Readable>
  let url = ''
  let said = ''

  before(async () => {
    const env = { ...process.env, PORT: '0', DATABASE: file }
    const args = ['--conditions=tidemark-source', 'examples/service/main.ts']
    child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stderr.on('data', chunk => (said += String(chunk)))
    const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
    url = String(line).trim()
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/, said)
  })

  after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })

  async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown }> {
    const response = await fetch(url + path, init)
    return { status: response.status, body: await response.json() }
  }

  test('users are read, written and read again, and those that are none are refused', async () => {
    assert.deepEqual(await ask('/users/2'), { status: 200, body: { id: 2, name: 'Grace', country: 'US' } })
    for (let n = 0; n < 20; n++) {
      const written = { id: 1, name: `Ada ${n}`, country: 'GB' }
      assert.deepEqual(await ask('/users/1', put(`Ada ${n}`)), { status: 200, body: written })
      assert.deepEqual(await ask('/users/1'), { status: 200, body: written })
    }
    assert.deepEqual(await ask('/users/9', put('Linus', 'FI')), {
      status: 200,
      body: { id: 9, name: 'Linus', country: 'FI' },
    })
    assert.equal((await ask('/users/77')).status, 404)
    assert.equal((await ask('/users/abc')).status, 404)
    assert.equal((await ask('/users/1', put(''))).status, 422)
    assert.equal((await ask('/users/1', put('Ada', 'England'))).status, 422)
    assert.equal((await ask('/users/1', { method: 'PUT', body: 'no json' })).status, 422)
    assert.equal((await fetch(`${url}/nothing`)).status, 404)
  })

  test('a row that plain SQL changed is seen within the bound', async () => {
    await ask('/users/2')
    const database = new DatabaseSync(file, { timeout: SEEN_MS })
    database.exec("UPDATE users SET name = 'Grace Hopper' WHERE id = 2")
    database.close()
    const untilMs = performance.now() + SEEN_MS
    for (;;) {
      const { body } = await ask('/users/2')
      if ((body as { name: string }).name === 'Grace Hopper') break
      assert.ok(performance.now() < untilMs, JSON.stringify(body))
      await wait(10)
    }
  })

  test('the report is made anew after a user was written', async () => {
    const users = async (country: string): Promise<unknown> => {
      const { body } = await ask('/report')
      const { countries } = body as { countries: { country: string; users: number }[] }
      return countries.find(each => each.country === country)?.users
    }
    assert.equal(await users('IT'), undefined)
    await ask('/users/20', put('Rita', 'IT'))
    assert.equal(await users('IT'), 1)
    await ask('/users/21', put('Corrado', 'IT'))
    assert.equal(await users('IT'), 2)
  })

  test('under load every request is answered, and the last write is what is read', async () => {
    const module: unknown = await import(pathToFileURL(join(guestFolder('autocannon'), 'autocannon.js')).href)
    const { default: autocannon } = module as { readonly default: Autocannon }
    const before = (await ask('/stats')).body as { all: { hits: number } }
    const requests: LoadRequest[] = [1, 2, 3, 4].map(id => ({ method: 'GET', path: `/users/${id}` }))
    requests.push({ method: 'PUT', path: '/users/3', body: '{"name":"Under load","country":"NL"}' })
    requests.push({ method: 'GET', path: '/users/3' }, { method: 'GET', path: '/report' })
    const result = await autocannon({ url, connections: 20, duration: LOAD_S, requests })
    assert.deepEqual([result.errors, result.timeouts, result.non2xx], [0, 0, 0], said)
    assert.ok(result['2xx'] > requests.length, `${result['2xx']} answers`)
    assert.deepEqual((await ask('/users/3')).body, { id: 3, name: 'Under load', country: 'NL' })
    const after = (await ask('/stats')).body as { all: { hits: number } }
    assert.ok(after.all.hits > before.all.hits, 'memory answered')
  })

  test('it ends by itself when it is told to, and has said nothing wrong', async () => {
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(END_MS) })
    child.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
    assert.equal(said, '')
    const database = new DatabaseSync(file)
    assert.equal(database.prepare('PRAGMA integrity_check').get()!['integrity_check'], 'ok')
    database.close()
  })
})
