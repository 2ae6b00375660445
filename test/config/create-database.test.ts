// Making a database that is not there: whole or not at all, whatever happens on the way.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import type { CreateContext } from '../../src/config/config.ts'
import { createDatabase } from '../../src/config/create-database.ts'
import { makeFolder } from '../../src/config/make-folder.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-create-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const never = new AbortController().signal
const progress = (): void => {}

async function make(
  create: ((context: CreateContext) => unknown) | undefined,
  signal: AbortSignal = never,
): Promise<string | TidemarkError> {
  try {
    return await createDatabase({ name: 'd', file: join(folder, 'd.db'), create }, { progress, signal })
  } catch (thrown) {
    assert.ok(thrown instanceof TidemarkError)
    return thrown
  }
}

function assertRefused(outcome: string | TidemarkError, code: ErrorCode, message: RegExp): void {
  assert.ok(outcome instanceof TidemarkError, `it was not refused but ${String(outcome)}`)
  assert.equal(outcome.code, code)
  assert.match(outcome.message, message)
}

function fill(file: string): void {
  const database = new DatabaseSync(file)
  database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)')
  database.close()
}

describe('making a database', () => {
  test('works on a file of another name, which then gets the real one', async () => {
    const outcome = await make(({ file }) => {
      assert.notEqual(file, join(folder, 'd.db'))
      fill(file)
      assert.equal(existsSync(join(folder, 'd.db')), false)
    })
    assert.equal(outcome, 'created')
    assert.deepEqual(readdirSync(folder), ['d.db'])
    const database = new DatabaseSync(join(folder, 'd.db'), { readOnly: true })
    assert.deepEqual({ ...database.prepare('SELECT count(*) AS n FROM t').get() }, { n: 2 })
    database.close()
  })
  test('is not done when the database is there', async () => {
    writeFileSync(join(folder, 'd.db'), 'mine')
    assert.equal(await make(() => assert.fail('called')), 'was there')
    assert.equal(await make(undefined), 'was there')
    assert.equal(readFileSync(join(folder, 'd.db'), 'utf8'), 'mine')
  })
  test('without a way to make it says which file is missing', async () => {
    assertRefused(await make(undefined), 'SETUP_FAILED', /^databases\.d\.file: there is no .*d\.db; make it first/)
  })
  test('that throws in the middle leaves nothing, and the next time begins again', async () => {
    const outcome = await make(({ file }) => {
      fill(file)
      throw new Error('no more cities')
    })
    assertRefused(outcome, 'SETUP_FAILED', /^databases\.d\.create: no more cities$/)
    assert.deepEqual(readdirSync(folder), [])
    assert.equal(await make(({ file }) => fill(file)), 'created')
  })
  test('that is interrupted leaves nothing, whether it notices or not', async () => {
    for (const notices of [true, false]) {
      const controller = new AbortController()
      const outcome = await make(({ file, signal }) => {
        fill(file)
        controller.abort()
        if (notices) signal.throwIfAborted()
      }, controller.signal)
      assertRefused(outcome, 'SETUP_FAILED', /interrupted; the next start begins again/)
      assert.deepEqual(readdirSync(folder), [])
    }
  })
  test('that leaves the database open or makes no file is refused', async () => {
    let open: DatabaseSync | undefined
    const outcome = await make(({ file }) => {
      open = new DatabaseSync(file)
      open.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY)')
    })
    assertRefused(outcome, 'SETUP_FAILED', /left the database open/)
    open?.close()
    assertRefused(await make(() => {}), 'SETUP_FAILED', /without making the file/)
    assert.deepEqual(readdirSync(folder), [])
  })
  test('does not replace a database that another process has put there meanwhile', async () => {
    const outcome = await make(({ file }) => {
      fill(file)
      writeFileSync(join(folder, 'd.db'), 'theirs')
    })
    assert.equal(outcome, 'created')
    assert.deepEqual(readdirSync(folder), ['d.db'])
    assert.equal(readFileSync(join(folder, 'd.db'), 'utf8'), 'theirs')
  })
  test('makes the folder, and says so when it cannot', async () => {
    const nested = { name: 'd', file: join(folder, 'a', 'b', 'd.db'), create: (c: CreateContext) => fill(c.file) }
    assert.equal(await createDatabase(nested, { progress, signal: never }), 'created')
    writeFileSync(join(folder, 'file'), '')
    // A system folder that denies, in a way of its own, that anything can be made in it.
    if (existsSync('/proc/self')) assert.throws(() => makeFolder('/proc/tidemark/data'), /ENOENT/)
    const blocked = { ...nested, file: join(folder, 'file', 'd.db') }
    await assert.rejects(
      createDatabase(blocked, { progress, signal: never }),
      /databases\.d\.file: cannot write to .*--data/,
    )
  })
  test('removes what a killed process left behind, and not what a running one is making', async t => {
    const code = `
      import { createDatabase } from ${JSON.stringify(new URL('../../src/config/create-database.ts', import.meta.url).href)}
      import { writeFileSync } from 'node:fs'
      const create = async ({ file }) => {
        writeFileSync(file, 'half')
        console.log('half')
        await new Promise(resolve => setTimeout(resolve, 1e9))
      }
      await createDatabase({ name: 'd', file: process.argv[1], create }, { progress() {}, signal: new AbortController().signal })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, join(folder, 'd.db')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const half = `d.db.creating-${child.pid}`
    assert.deepEqual(readdirSync(folder), [half])
    assert.equal(await make(({ file }) => fill(file)), 'created')
    assert.deepEqual(readdirSync(folder).sort(), ['d.db', half], 'the running one is let be')
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    assert.deepEqual(readdirSync(folder).sort(), ['d.db', half], 'a crash leaves the half-made file')
    rmSync(join(folder, 'd.db'))
    mkdirSync(join(folder, 'other'))
    assert.equal(await make(({ file }) => fill(file)), 'created')
    assert.deepEqual(readdirSync(folder).sort(), ['d.db', 'other'])
  })
})
