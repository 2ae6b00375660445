// A journal whose files were changed or lost behind its back: it says where and what can be done, changes nothing, and what it
// advises works. What a killed process or a power cut leaves behind is no damage.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { RECORD_HEAD_BYTES } from '../../src/journal/record.ts'
import { appendTexts, JournalScene } from './journal-scene.ts'

const small = { fileBytesMax: 160, bytesMax: 4_000 }
const texts = Array.from({ length: 9 }, (_, i) => `entry ${i + 1} of nine`)
const recordBytes = RECORD_HEAD_BYTES + texts[0]!.length

/** Nine entries in three files, of which `confirmed` are confirmed on the disk as well. */
async function nine(confirmed = 0): Promise<JournalScene> {
  const scene = new JournalScene(small)
  const { journal } = await scene.open()
  await appendTexts(journal, texts.slice(0, 8))
  if (confirmed > 0) journal.confirm(confirmed)
  await appendTexts(journal, texts.slice(8))
  await journal.close()
  return scene
}

function flip(scene: JournalScene, file: string, at: number): void {
  scene.disk.alter(file, bytes => {
    bytes[at]! ^= 0x10
    return bytes
  })
}

async function damage(scene: JournalScene): Promise<string> {
  const before = scene.files().map(file => scene.disk.content(file))
  const thrown: unknown = await scene.open().then(
    () => assert.fail('it was opened'),
    (error: unknown) => error,
  )
  assert.ok(thrown instanceof TidemarkError, String(thrown))
  assert.equal(thrown.code, 'JOURNAL_DAMAGED')
  assert.deepEqual(
    scene.files().map(file => scene.disk.content(file)),
    before,
    'nothing was changed',
  )
  return thrown.message
}

/** Does what the error says to do about it when there is no copy. */
function followAdvice(scene: JournalScene, message: string): void {
  const cut = /cut (\S+) to its first (\d+) bytes/.exec(message)
  if (cut !== null) scene.disk.alter(cut[1]!, bytes => bytes.subarray(0, Number(cut[2])))
  const moved = /move (.*) out of the folder/.exec(message)?.[1] ?? ''
  for (const [file] of moved.matchAll(/\S+\.journal/g)) scene.disk.drop(file)
}

test('the scene is three files with three entries each', async () => {
  const scene = await nine()
  assert.equal(scene.files().length, 3)
  for (const file of scene.files()) assert.equal(scene.disk.content(file).length, 40 + 3 * recordBytes)
  assert.deepEqual((await scene.open()).texts, texts)
})

test('any byte that changed in a file before the last is found, with the file and the record', async () => {
  for (const index of [0, 1]) {
    for (let at = 0; at < 40 + 3 * recordBytes; at++) {
      const scene = await nine()
      const file = scene.files()[index]!
      flip(scene, file, at)
      const message = await damage(scene)
      const record = at < 40 ? 0 : at - ((at - 40) % recordBytes)
      assert.ok(message.startsWith(`${file} is damaged at byte ${record}:`), message)
      followAdvice(scene, message)
      const kept = index * 3 + Math.max(0, Math.floor((at - 40) / recordBytes))
      const { journal, texts: handedOut } = await scene.open()
      assert.deepEqual(handedOut, texts.slice(0, kept))
      assert.equal(await journal.append([Buffer.from('')]), kept + 1)
    }
  }
})

test('a byte that changed in the last file before what was synced is found', async () => {
  for (let at = 0; at < 40 + 2 * recordBytes; at++) {
    const scene = await nine()
    const file = scene.files()[2]!
    flip(scene, file, at)
    const message = await damage(scene)
    assert.ok(message.startsWith(`${file} is damaged at byte`), message)
    followAdvice(scene, message)
    const kept = 6 + Math.max(0, Math.floor((at - 40) / recordBytes))
    assert.deepEqual((await scene.open()).texts, texts.slice(0, kept))
  }
})

test('a byte that changed in a last file that was there when the journal was opened last is found, up to its end', async () => {
  for (const at of [40, 40 + recordBytes, 40 + 3 * recordBytes - 1]) {
    const scene = await nine()
    await (await scene.open()).journal.close()
    flip(scene, scene.files()[2]!, at)
    assert.match(await damage(scene), /damaged at byte/)
  }
})

test('a file that is missing is found, unless all of its entries were confirmed', async () => {
  for (const [index, missing, confirmed, found] of [
    [0, '1 to 3', 0, true],
    [1, '4 to 6', 0, true],
    [1, '4 to 6', 2, true],
    [1, '', 6, false],
  ] as const) {
    const scene = await nine(confirmed)
    if (found) {
      scene.disk.drop(scene.files()[index]!)
      const next = scene.files()[index]!
      const message = await damage(scene)
      assert.ok(message.startsWith(`entries ${missing} are missing before ${next}, byte 0`), message)
      followAdvice(scene, message)
      // That some of them were confirmed was in a file that has gone.
      assert.deepEqual((await scene.open()).texts, texts.slice(0, index * 3))
    } else {
      assert.equal(scene.files()[0], 'journal/0000000000000007.journal')
      assert.deepEqual((await scene.open()).texts, texts.slice(6))
    }
  }
})

test('damage in a file whose entries are all confirmed does not matter: it is not read', async () => {
  const scene = await nine()
  const old = scene.disk.content(scene.files()[0]!)
  const { journal } = await scene.open()
  journal.confirm(4)
  await appendTexts(journal, ['ten'])
  assert.equal(scene.files()[0], 'journal/0000000000000004.journal')
  // A removal that a power cut undid.
  const file = 'journal/0000000000000001.journal'
  await scene.disk.start({ at: Infinity, fault: 'EIO', shortWrites: false }).storage.create(file)
  scene.disk.alter(file, () => old.subarray(3))
  assert.deepEqual((await scene.open()).texts, [...texts.slice(4), 'ten'])
  assert.ok(!scene.files().includes(file))
})

test('what is behind the last record and was never synced is left out, whatever it is', async () => {
  const other = await new JournalScene({}, 2).open().then(async ({ journal }) => {
    await appendTexts(journal, texts.slice(0, 6))
    return journal
  })
  await other.close()
  const foreign = new JournalScene({}, 2)
  await appendTexts((await foreign.open()).journal, texts)
  const tails: Record<string, (whole: Buffer) => Buffer> = {
    'a byte': () => Buffer.from([0]),
    zeros: () => Buffer.alloc(1_000),
    'the same record again': whole => whole.subarray(-recordBytes),
    'half of a record': whole => whole.subarray(-recordBytes, -10),
    'all of the file again': whole => whole,
    'the record of that number, of another journal': () =>
      foreign.disk.content(foreign.files()[0]!).subarray(40 + 6 * recordBytes),
  }
  for (const [name, tail] of Object.entries(tails)) {
    const scene = new JournalScene()
    const { journal } = await scene.open()
    await appendTexts(journal, texts.slice(0, 6))
    scene.disk.alter(scene.files()[0]!, whole => Buffer.concat([whole, tail(whole)]))
    const { journal: again, texts: handedOut } = await scene.open()
    assert.deepEqual(handedOut, texts.slice(0, 6), name)
    assert.equal(await again.append([Buffer.from('more')]), 7)
    assert.deepEqual((await scene.open()).texts, [...texts.slice(0, 6), 'more'], name)
  }
})

test('a file of another version, of another name, and one that is none are refused by what they are', async () => {
  const cases: readonly (readonly [RegExp, (scene: JournalScene) => void])[] = [
    [/does not begin as a journal file does/, scene => scene.disk.alter(scene.files()[2]!, () => Buffer.from('hello'))],
    [
      /is the file of entry 4/,
      scene => scene.disk.alter(scene.files()[2]!, () => scene.disk.content(scene.files()[1]!)),
    ],
  ]
  for (const [reason, change] of cases) {
    const scene = await nine()
    change(scene)
    assert.match(await damage(scene), reason)
  }
})
