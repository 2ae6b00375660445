// Whose snapshot is whose, and in what order: the supervisor's side alone, with writing begun, ended and failed by the test.
// With real threads and files: snapshots.test.ts.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { commandNames } from '../../src/server/commands/table.ts'
import { serverMetrics } from '../../src/server/metrics.ts'
import { type SnapshotRequest, Snapshots } from '../../src/server/snapshots.ts'
import type { WrittenSnapshot } from '../../src/store/snapshot-writer.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'

class Turns {
  readonly clock = new ManualClock()
  readonly log: string[] = []
  /** What has happened, in order: an answer is `name: answer`. */
  readonly events: string[] = []
  readonly snapshots: Snapshots
  readonly file: string
  #walk: (() => void) | undefined
  #end: PromiseWithResolvers<WrittenSnapshot> | undefined

  /** With a schedule the server is up. */
  constructor(t: TestContext, everyMs = 0) {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-turns-'))
    t.after(() => rmSync(folder, { recursive: true }))
    this.file = join(folder, 'warm')
    this.snapshots = Snapshots.open({
      settings: { file: this.file, everyMs },
      store: Store.create({ memoryBytes: 1 << 20, seed: 1 }),
      thread: 1,
      clock: this.clock,
      log: line => void this.log.push(line),
      metrics: serverMetrics(commandNames, 1, 0),
      keyspaces: [],
      write: (_options, { begins }) => {
        this.events.push('started')
        this.#walk = begins
        this.#end = Promise.withResolvers()
        return this.#end.promise
      },
    })
    if (everyMs > 0) this.snapshots.start()
  }

  ask(name: string, request: SnapshotRequest): void {
    this.snapshots.request(request).then(
      answer => void this.events.push(`${name}: ${answer}`),
      (thrown: unknown) => void this.events.push(`${name}: ${(thrown as { code: string }).code}`),
    )
  }

  walk(): void {
    this.#walk!()
  }

  async end(failure?: string): Promise<void> {
    if (failure === undefined) this.#end!.resolve({ records: 1, bytes: 1 })
    else this.#end!.reject(new Error(failure))
    await this.settled()
  }

  /** All that follows from what has happened so far has happened. */
  settled(): Promise<void> {
    return new Promise(resolve => setImmediate(resolve))
  }

  take(): string[] {
    return this.events.splice(0)
  }
}

test('a SAVE joins a snapshot that has not begun to walk, and no other', async t => {
  const turns = new Turns(t)
  turns.ask('first', 'save')
  turns.ask('second', 'save')
  await turns.settled()
  assert.deepEqual(turns.take(), ['started'])
  turns.walk()
  turns.ask('third', 'save')
  turns.ask('fourth', 'save')
  await turns.settled()
  assert.deepEqual(turns.take(), [])
  await turns.end()
  const events = turns.take()
  assert.deepEqual(events.toSorted(), ['first: done', 'second: done', 'started'])
  turns.ask('fifth', 'save')
  turns.walk()
  turns.ask('sixth', 'save')
  await turns.end()
  assert.deepEqual(turns.take().toSorted(), ['fifth: done', 'fourth: done', 'started', 'third: done'])
  await turns.end()
  assert.deepEqual(turns.take(), ['sixth: done'])
})

test('those who share a snapshot that fails are told so, and the next is made all the same', async t => {
  const turns = new Turns(t)
  turns.ask('first', 'save')
  turns.ask('second', 'save')
  turns.walk()
  turns.ask('third', 'save')
  await turns.end('no room')
  assert.deepEqual(turns.take().toSorted(), ['first: SNAPSHOT_FAILED', 'second: SNAPSHOT_FAILED', 'started', 'started'])
  assert.equal(turns.log.length, 1)
  assert.match(turns.log[0]!, /could not be written: no room; the one before stays$/)
  await turns.end()
  assert.deepEqual(turns.take(), ['third: done'])
})

test('while one is written nothing begins in the background, whoever asked for it', async t => {
  const turns = new Turns(t, 1000)
  turns.ask('save', 'save')
  turns.ask('background', 'background')
  await turns.settled()
  assert.deepEqual(turns.take(), ['started', 'background: busy'])
  turns.clock.advance(1000)
  await turns.end()
  assert.deepEqual(turns.take(), ['save: done'])
  turns.clock.advance(1000)
  turns.ask('save', 'save')
  turns.ask('background', 'background')
  await turns.settled()
  assert.deepEqual(turns.take(), ['started', 'save: busy', 'background: busy'])
  await turns.end()
  turns.ask('background', 'background')
  await turns.settled()
  assert.deepEqual(turns.take(), ['started', 'background: done'])
})

test('at the end the one that is written is waited for, then the last one is; after that there is none', async t => {
  const turns = new Turns(t, 1000)
  turns.ask('background', 'background')
  await turns.settled()
  const stopped = turns.snapshots.stop(true).then(() => turns.events.push('stopped'))
  await turns.settled()
  assert.deepEqual(turns.take(), ['started', 'background: done'])
  turns.ask('late', 'save')
  await turns.end()
  assert.deepEqual(turns.take(), ['late: SHUTTING_DOWN', 'started'])
  assert.ok(existsSync(`${turns.file}.lock`))
  await turns.end()
  await stopped
  assert.deepEqual(turns.take(), ['stopped'])
  assert.ok(!existsSync(`${turns.file}.lock`))
  turns.clock.advance(10_000)
  await turns.settled()
  assert.deepEqual(turns.take(), [])
})

test('before the server is up snapshots are written for who asks, and none for itself', async t => {
  const turns = new Turns(t)
  turns.ask('early', 'save')
  await turns.end()
  assert.deepEqual(turns.take(), ['started', 'early: done'])
  await turns.snapshots.stop(true)
  assert.deepEqual(turns.take(), [])
})

test('a file that is there and cannot be read is no empty start', async t => {
  const turns = new Turns(t)
  mkdirSync(turns.file)
  await assert.rejects(turns.snapshots.load({}), (thrown: unknown) => {
    assert.ok(thrown instanceof TidemarkError && thrown.code === 'SNAPSHOT_UNREADABLE')
    assert.match(thrown.message, /^--snapshot: .*warm cannot be read: EISDIR.*TIDEMARK_SNAPSHOT/)
    return true
  })
  await turns.snapshots.stop(false)
})

test('a server that gives up keeps the snapshot of before', async t => {
  const turns = new Turns(t, 1000)
  await turns.snapshots.stop(false)
  assert.deepEqual(turns.take(), [])
  assert.ok(!existsSync(`${turns.file}.lock`))
})
