// The journal on the machine's own disk: its folder, its lock, and that the calls mean there what the simulated disk says.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { OpenedJournal } from '../../src/journal/journal.ts'
import { diskStorage } from '../../src/journal/storage.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { appendTexts } from './journal-scene.ts'

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'tidemark-journal-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const open = (directory: string): Promise<OpenedJournal> =>
  Journal.open({
    directory,
    clock: new ManualClock(),
    random: seededRandom(1),
    storage: diskStorage(),
    fileBytesMax: 400,
    bytesMax: 4_000,
  })

const rejects = (promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof TidemarkError)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })

test('a journal in a folder that is not there yet keeps its entries, through several files, for its owner alone', async t => {
  const directory = join(folder(t), 'deep', 'journal')
  const first = await open(directory)
  const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(60))
  await appendTexts(first.journal, texts)
  first.journal.confirm(7)
  await first.journal.close()
  assert.ok(readdirSync(directory).length > 2)
  for (const name of readdirSync(directory)) assert.equal(statSync(join(directory, name)).mode & 0o077, 0)
  const second = await open(directory)
  assert.deepEqual(
    second.entries.map(({ content }) => content.toString()),
    texts.slice(7),
  )
  second.journal.confirm(20)
  await second.journal.close()
  assert.equal(readdirSync(directory).length, 1)
  const third = await open(directory)
  assert.deepEqual(third.entries, [])
  assert.equal(await third.journal.append([Buffer.from('')]), 21)
  await third.journal.close()
})

test('two of one process do not share a journal, and the second may have it after the first', async t => {
  const directory = folder(t)
  const { journal } = await open(directory)
  await rejects(
    open(directory),
    'JOURNAL_LOCKED',
    new RegExp(`in use by process ${process.pid} \\(.*journal\\.lock\\)`),
  )
  assert.equal(await journal.append([Buffer.from('still works')]), 1)
  await journal.close()
  assert.equal(existsSync(join(directory, 'journal.lock')), false)
  await (await open(directory)).journal.close()
})

test('a journal of another process that lives is refused, and taken over once it was killed', async t => {
  const directory = folder(t)
  const program = join(import.meta.dirname, 'kill-child.ts')
  const args = ['--conditions=tidemark-source', program, directory, '1']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.stdout.resume()
  await rejects(open(directory), 'JOURNAL_LOCKED', new RegExp(`in use by process ${child.pid} `))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(existsSync(join(directory, 'journal.lock')), true)
  await (await open(directory)).journal.close()
})

test('a lock whose process has ended, whose number another has now, or that was never finished, is taken over', async t => {
  const ended = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }))
  const locks = [
    JSON.stringify({ pid: ended, began: '' }),
    JSON.stringify({ pid: process.pid, began: 'earlier' }),
    '',
    '{"pid":',
  ]
  for (const lock of locks) {
    const directory = folder(t)
    writeFileSync(join(directory, 'journal.lock'), lock)
    const { journal } = await open(directory)
    assert.equal(
      (JSON.parse(readFileSync(join(directory, 'journal.lock'), 'utf8')) as { pid: number }).pid,
      process.pid,
    )
    assert.deepEqual(
      readdirSync(directory).filter(name => !name.endsWith('.journal')),
      ['journal.lock'],
    )
    await journal.close()
  }
})

test('a journal that could not be opened leaves no lock behind', async t => {
  const directory = folder(t)
  const { journal } = await open(directory)
  await appendTexts(journal, ['a', 'b'])
  await journal.close()
  const file = join(directory, '0000000000000001.journal')
  const whole = readFileSync(file)
  writeFileSync(file, Buffer.concat([Buffer.from('xyz'), whole]))
  await rejects(open(directory), 'JOURNAL_DAMAGED', /0000000000000001\.journal is damaged at byte 0/)
  writeFileSync(file, whole)
  const again = await open(directory)
  assert.equal(again.entries.length, 2)
  await again.journal.close()
})

test('a place that is no folder is an error that says so', async t => {
  const file = join(folder(t), 'file')
  writeFileSync(file, '')
  await rejects(open(file), 'JOURNAL_FAILED', /cannot be opened: E(EXIST|NOTDIR)/)
  await rejects(open(join(file, 'below')), 'JOURNAL_FAILED', /cannot be opened: ENOTDIR/)
})
