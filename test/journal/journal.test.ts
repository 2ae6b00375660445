// The journal where the disk does what it is told: numbers, groups, files, bounds, failures that are final.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { afterThisTurn } from '../../src/base/turn.ts'
import { appendTexts, JournalScene } from './journal-scene.ts'
import { noFault } from './simulated-disk.ts'

const text = (length: number): string => 'x'.repeat(length)
const rejects = (promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<void> =>
  assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof TidemarkError)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })

async function confirmed(journal: Journal, sequence: number): Promise<void> {
  journal.confirm(sequence)
  await journal.append([Buffer.from('.')])
  // Files go after what was appended is acknowledged.
  for (let turns = 0; turns < 3; turns++) await new Promise<void>(afterThisTurn)
}

describe('entries', () => {
  test('are numbered one after another, and handed out in order until they are confirmed', async () => {
    const scene = new JournalScene()
    const first = await scene.open()
    assert.deepEqual(first.texts, [])
    assert.equal(await first.journal.append(['a', 'b', ''].map(item => Buffer.from(item))), 3)
    assert.equal(await first.journal.append([Buffer.from('c')]), 4)
    first.journal.confirm(1)
    await first.journal.close()
    const second = await scene.open()
    assert.deepEqual(
      [second.texts, second.sequences],
      [
        ['b', '', 'c'],
        [2, 3, 4],
      ],
    )
    assert.equal(second.journal.confirmed, 1)
    assert.equal(await second.journal.append([Buffer.from('d')]), 5)
    second.journal.confirm(5)
    await second.journal.close()
    const third = await scene.open()
    assert.deepEqual(third.texts, [])
    assert.equal(await third.journal.append([Buffer.from('e')]), 6)
  })

  test('that come while the disk is busy share its next sync', async () => {
    const scene = new JournalScene()
    const { journal } = await scene.open()
    const before = scene.disk.counts.get('sync')!
    const order: number[] = []
    const appends = Array.from({ length: 100 }, (_, i) => journal.append([Buffer.from(`${i}`)], at => order.push(at)))
    const numbers = await Promise.all(appends)
    assert.deepEqual(
      numbers,
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    assert.deepEqual(order, numbers)
    assert.equal(scene.disk.counts.get('sync')! - before, 1)
    assert.equal(journal.statistics().syncs, 1)
    assert.equal(journal.statistics().unconfirmed, 100)
  })

  test('that were not acknowledged when the process was killed are not handed out torn', async () => {
    const scene = new JournalScene()
    const { journal } = await scene.open()
    await appendTexts(journal, ['a', 'b'])
    scene.disk.alter(scene.files()[0]!, bytes => bytes.subarray(0, bytes.length - 1))
    assert.deepEqual((await scene.open()).texts, ['a'])
  })

  test('that are confirmed are known to be so once the journal was closed, whatever it was doing then', async () => {
    for (let run = 0; run < 40; run++) {
      const turns = run % 8
      const scene = new JournalScene({}, run)
      const { journal } = await scene.open()
      await appendTexts(journal, ['a', 'b'])
      journal.confirm(2)
      for (let i = 0; i < turns; i++) await Promise.resolve()
      if (turns > 4) await new Promise<void>(afterThisTurn)
      await journal.close()
      scene.disk.cutPower()
      assert.deepEqual((await scene.open()).texts, [])
    }
  })
})

describe('files', () => {
  test('follow one another at their size, and go once all of their entries are confirmed', async () => {
    const scene = new JournalScene({ fileBytesMax: 400, bytesMax: 4_000 })
    const { journal } = await scene.open()
    for (let i = 0; i < 9; i++) await appendTexts(journal, [text(76)])
    assert.deepEqual(
      scene.files(),
      [1, 4, 7].map(first => `journal/${String(first).padStart(16, '0')}.journal`),
    )
    assert.equal(journal.statistics().bytes, 3 * 340)
    await confirmed(journal, 5)
    assert.equal(scene.files().length, 2, 'the first went')
    assert.equal(scene.files()[0], `journal/${'4'.padStart(16, '0')}.journal`)
    await confirmed(journal, 10)
    assert.equal(scene.files().length, 1)
    const bytes = scene.files().reduce((sum, file) => sum + scene.disk.content(file).length, 0)
    assert.equal(journal.statistics().bytes, bytes)
    assert.deepEqual((await scene.open()).sequences, [11])
  })

  test('go without anything else being appended', async () => {
    const scene = new JournalScene({ fileBytesMax: 400, bytesMax: 4_000 })
    const { journal } = await scene.open()
    for (let i = 0; i < 9; i++) await appendTexts(journal, [text(76)])
    journal.confirm(6)
    for (let turns = 0; turns < 5; turns++) await new Promise<void>(afterThisTurn)
    assert.deepEqual(scene.files(), ['journal/0000000000000007.journal'])
    scene.disk.cutPower()
    assert.deepEqual((await scene.open()).sequences, [7, 8, 9])
  })

  test('that only say what is confirmed do not grow for ever', async () => {
    const scene = new JournalScene({ fileBytesMax: 300, bytesMax: 1_200 })
    const { journal } = await scene.open()
    for (let i = 1; i <= 200; i++) await confirmed(journal, i - 1)
    assert.equal(scene.files().length, 1)
    assert.ok(journal.statistics().bytes <= 300)
  })

  test('that were not finished are removed, and files of others are left alone', async () => {
    const scene = new JournalScene()
    const { journal } = await scene.open()
    await appendTexts(journal, ['a'])
    const { storage } = scene.disk.start(noFault)
    for (const name of ['0000000000000002.journal.tmp', '0000000000000002.journal.bak', 'x.journal', 'x.journal.tmp']) {
      await storage.create(`journal/${name}`)
    }
    assert.deepEqual((await scene.open()).texts, ['a'])
    assert.deepEqual(
      scene.disk.files().map(name => name.slice('journal/'.length)),
      ['0000000000000001.journal', '0000000000000002.journal.bak', 'x.journal', 'x.journal.tmp'],
    )
  })
})

describe('bounds', () => {
  test('a full journal refuses, and takes again what fits once some of it is confirmed', async () => {
    const scene = new JournalScene({ fileBytesMax: 500, bytesMax: 2_000 })
    const { journal } = await scene.open()
    let last = 0
    await rejects(
      (async () => {
        for (;;) last = await journal.append([Buffer.from(text(100))])
      })(),
      'JOURNAL_FULL',
      /holds \d+ of 2000 bytes, 14 entries are not confirmed/,
    )
    assert.equal(last, 14)
    assert.ok(journal.statistics().bytes <= 2_000)
    journal.confirm(last)
    for (let turns = 0; turns < 10; turns++) await new Promise<void>(afterThisTurn)
    // Half of it always finds room then.
    assert.equal(await journal.append([Buffer.from(text(1_000 - 24))]), 15)
    assert.equal(journal.failure, undefined)
  })

  test('what waits for the disk counts, and what is refused takes no number', async () => {
    const scene = new JournalScene({ fileBytesMax: 500, bytesMax: 2_000 })
    const { journal } = await scene.open()
    const appends = Array.from({ length: 30 }, () => journal.append([Buffer.from(text(100))]))
    const settled = await Promise.allSettled(appends)
    const taken = settled.flatMap(outcome => (outcome.status === 'fulfilled' ? outcome.value : []))
    assert.deepEqual(
      taken,
      Array.from({ length: 15 }, (_, i) => i + 1),
    )
    assert.equal(await journal.append([Buffer.from('')]), 16)
  })

  test('an append of half of the journal finds room again and again once all before it is confirmed', async () => {
    const { journal } = await new JournalScene({ fileBytesMax: 500, bytesMax: 2_000 }).open()
    for (let i = 1; i <= 5; i++) {
      assert.equal(await journal.append([Buffer.from(text(1_000 - 24))]), i)
      journal.confirm(i)
      for (let turns = 0; turns < 5; turns++) await new Promise<void>(afterThisTurn)
    }
  })

  test('an append of more than half of the journal is refused for good', async () => {
    const { journal } = await new JournalScene({ fileBytesMax: 500, bytesMax: 2_000 }).open()
    await rejects(journal.append([Buffer.from(text(1_000))]), 'VALUE_TOO_LARGE', /may have 1000/)
  })
})

describe('a disk that fails', () => {
  for (const fault of ['ENOSPC', 'EIO'] as const) {
    test(`nothing is taken any more after ${fault}, and what was acknowledged is there when it is opened again`, async () => {
      const scene = new JournalScene()
      const { journal } = await scene.open({ at: 12, fault, shortWrites: false })
      let acknowledged = 0
      await rejects(
        (async () => {
          for (;;) acknowledged = await journal.append([Buffer.from('a')])
        })(),
        'JOURNAL_FAILED',
        new RegExp(`${fault}.*opened again`),
      )
      assert.ok(acknowledged > 0)
      const calls = scene.disk.counts.get('sync')
      await rejects(journal.append([Buffer.from('b')]), 'JOURNAL_FAILED')
      assert.ok(journal.failure !== undefined)
      assert.equal(journal.failure.code, 'JOURNAL_FAILED')
      assert.equal((journal.failure.cause as NodeJS.ErrnoException).code, fault)
      journal.confirm(acknowledged)
      await journal.close()
      assert.equal(scene.disk.counts.get('sync'), calls, 'a sync that failed is not tried again')
      const { sequences } = await scene.open()
      assert.ok(sequences.length >= acknowledged)
    })
  }

  test('all that waits is refused with the group that failed', async () => {
    const scene = new JournalScene()
    const { journal } = await scene.open({ at: 7, fault: 'EIO', shortWrites: false })
    const first = Array.from({ length: 5 }, () => journal.append([Buffer.from('a')]))
    const outcomes = Promise.allSettled(first)
    await new Promise<void>(afterThisTurn)
    const second = journal.append([Buffer.from('b')])
    await rejects(second, 'JOURNAL_FAILED')
    assert.deepEqual(new Set((await outcomes).map(({ status }) => status)), new Set(['rejected']))
  })

  test('a folder that cannot be read is an error that says so', async () => {
    await rejects(
      new JournalScene().open({ at: 1, fault: 'EIO', shortWrites: false }),
      'JOURNAL_FAILED',
      /journal.*EIO/,
    )
  })
})

describe('closing', () => {
  test('waits for what was appended, and refuses what comes later', async () => {
    const scene = new JournalScene()
    const { journal } = await scene.open()
    const append = journal.append([Buffer.from('a')])
    const closed = journal.close()
    await rejects(journal.append([Buffer.from('b')]), 'SHUTTING_DOWN')
    await closed
    assert.equal(await append, 1)
    await journal.close()
    assert.deepEqual((await scene.open()).texts, ['a'])
  })
})
