// Snapshots as tests write, break and load them: into a folder of their own, with a file system that can be made to fail.
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { LoadOptions, LoadOutcome } from '../../src/store/snapshot-reader.ts'
import { loadSnapshot } from '../../src/store/snapshot-reader.ts'
import type { SnapshotStorage, WrittenSnapshot } from '../../src/store/snapshot-writer.ts'
import { writeSnapshot } from '../../src/store/snapshot-writer.ts'
import { bufferOf, createStore, type KeyedStore, type Text } from './keyed-store.ts'
import { setHashFields } from '../../src/store/hash-value.ts'
import { RecordType } from '../../src/store/layout.ts'
import {
  firstSeed,
  FRAME_BYTES,
  HEADER_BYTES,
  TOTALS_BYTES,
  writeFrame,
  writeHeader,
  writeTotals,
} from '../../src/store/snapshot-format.ts'

export function snapshotFile(t: TestContext): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'tidemark-snapshot-'))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'warm.snapshot')
}

export function write(keyed: KeyedStore, file: string, storage: Partial<SnapshotStorage> = {}): WrittenSnapshot {
  const job = { file, keepOldAs: undefined, wallMs: keyed.wallMs }
  const written = writeSnapshot(keyed.store, job, { ...fs, ...storage })
  assert.equal(fs.statSync(file).size, written.bytes)
  return written
}

/** Loads into `keyed`, whose every invariant is checked then; a refused file has left nothing in it. */
export async function load(keyed: KeyedStore, file: string, options: Partial<LoadOptions> = {}): Promise<LoadOutcome> {
  const outcome = await loadSnapshot(keyed.store, { file, wallMs: keyed.wallMs, accepts: () => true, ...options })
  keyed.store.check()
  if (outcome.kind !== 'loaded') assert.equal(keyed.store.statistics().records, 0)
  return outcome
}

export function setHash(keyed: KeyedStore, key: Text, fields: readonly (readonly [Text, Text])[]): void {
  const { value } = setHashFields(
    undefined,
    fields.map(([name, text]) => [bufferOf(name), bufferOf(text)]),
  )
  assert.equal(keyed.set(key, value, { type: RecordType.hash }), 'stored')
}

export interface Seen {
  readonly type: number
  readonly value: string
  readonly expiresAtMs: number
  readonly frequency: number
  readonly main: boolean
}

/** All that a walk sees, by key; keys and values as latin1. */
export function contentOf(keyed: KeyedStore): Map<string, Seen> {
  const content = new Map<string, Seen>()
  let cursor = 0
  do {
    cursor = keyed.store.visitRecords(cursor, keyed.wallMs, {
      add: ({ bytes, type, keyStart, keyEnd, valueStart, valueEnd, expiresAtMs, frequency, main }) => {
        const value = bytes.toString('latin1', valueStart, valueEnd)
        content.set(bytes.toString('latin1', keyStart, keyEnd), { type, value, expiresAtMs, frequency, main })
      },
      undo: () => assert.fail('nobody writes meanwhile'),
    })
  } while (cursor !== 0)
  return content
}

/** The same file with some of its bytes changed, under another name. */
export function changed(file: string, change: (bytes: Buffer) => Buffer): string {
  const other = `${file}.changed`
  fs.writeFileSync(other, change(fs.readFileSync(file)))
  return other
}

/** A file with one block of these bytes, and every checksum right. */
export function crafted(file: string, content: Buffer, records: number): string {
  const header = Buffer.alloc(HEADER_BYTES)
  writeHeader(header, { createdWallMs: 0, records })
  const block = Buffer.concat([Buffer.alloc(FRAME_BYTES), content])
  const checksum = writeFrame(block, block.length, records, firstSeed(header))
  const end = Buffer.alloc(FRAME_BYTES + TOTALS_BYTES)
  writeTotals(end, FRAME_BYTES, { records, blocks: 1, bytes: HEADER_BYTES + block.length })
  writeFrame(end, end.length, 'end', checksum)
  fs.writeFileSync(file, Buffer.concat([header, block, end]))
  return file
}

export function sampleStore(): KeyedStore {
  const keyed = createStore()
  keyed.set('greeting', 'hello')
  keyed.set('', 'the empty key')
  keyed.set('soon', 'gone', { expiresAtMs: keyed.wallMs + 60_000 })
  setHash(keyed, 'user', [
    ['name', 'Ada'],
    ['born', '1815'],
  ])
  return keyed
}
