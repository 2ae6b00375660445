// Real SQLite files for the tests of src/source/: a source over a schema, a second connection that stands for another
// process, and a feed handler that writes down what it is told.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import type { FeedHandler } from '../../src/source/pushed-feed.ts'
import type { RowBytes, RowOperation, RowOutcome, WriteResult } from '../../src/source/source.ts'
import { SqliteSource, type SqliteSourceOptions } from '../../src/source/sqlite-source.ts'
import { ManualClock } from '../../src/testing/clock.ts'

export type Told =
  | { readonly what: 'changes'; readonly position: bigint; readonly events: readonly ChangeEvent[] }
  | { readonly what: 'reset'; readonly position: bigint; readonly reason: string }
  | { readonly what: 'sample'; readonly position: bigint; readonly takenAtMs: number }

export class Recorder implements FeedHandler {
  readonly told: Told[] = []

  changes(position: bigint, events: readonly ChangeEvent[]): void {
    this.told.push({ what: 'changes', position, events })
  }

  reset(position: bigint, reason: string): void {
    this.told.push({ what: 'reset', position, reason })
  }

  sample(takenAtMs: number, position: bigint): void {
    this.told.push({ what: 'sample', position, takenAtMs })
  }

  /** What was told since the last call. */
  take(): Told[] {
    return this.told.splice(0)
  }

  kinds(): string[] {
    return this.take().map(told => told.what)
  }
}

export interface Fixture {
  readonly folder: string
  readonly file: string
  readonly source: SqliteSource
  readonly clock: ManualClock
  readonly feed: Recorder
  /** Another connection to the same file, as another process has. */
  readonly outside: DatabaseSync
}

export const citiesSql = `
  CREATE TABLE cities (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, population INTEGER NOT NULL DEFAULT 7, note TEXT, height REAL,
    flag BLOB, label TEXT GENERATED ALWAYS AS (name || '!') VIRTUAL
  ) STRICT`

/** A file with `sql` run in it, in a temporary folder that goes with the test. */
export function makeFile(t: TestContext, sql: string): { folder: string; file: string; outside: DatabaseSync } {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-sqlite-'))
  const file = join(folder, 'data.db')
  const outside = new DatabaseSync(file)
  t.after(() => {
    if (outside.isOpen) outside.close()
    rmSync(folder, { recursive: true, force: true })
  })
  outside.exec('PRAGMA journal_mode = WAL')
  outside.exec(sql)
  return { folder, file, outside }
}

export function optionsFor(
  file: string,
  keyspaces: SqliteSourceOptions['keyspaces'],
  clock: ManualClock,
): SqliteSourceOptions {
  return { name: 'main', file, busyTimeoutMs: 1000, pollMs: 25, keyspaces, clock, random: seededRandom(7) }
}

export async function makeSource(
  t: TestContext,
  sql: string = citiesSql,
  keyspaces: SqliteSourceOptions['keyspaces'] = [{ name: 'cities', table: 'cities' }],
): Promise<Fixture> {
  const { folder, file, outside } = makeFile(t, sql)
  const clock = new ManualClock()
  const source = await SqliteSource.open(optionsFor(file, keyspaces, clock))
  t.after(() => source.close())
  const feed = new Recorder()
  source.subscribe(feed)
  return { folder, file, source, clock, feed, outside }
}

export function textOf(row: RowBytes | undefined): string | null {
  return row === null || row === undefined ? null : Buffer.from(row).toString()
}

export async function loadTexts(
  source: SqliteSource,
  keyspace: string,
  ids: readonly string[],
): Promise<(string | null)[]> {
  return (await source.load(keyspace, ids)).rows.map(textOf)
}

export function replace(row: string, condition?: 'absent' | 'present'): RowOperation {
  return { kind: 'replace', row: Buffer.from(row), ...(condition === undefined ? {} : { condition }) }
}

export function update(fields: Readonly<Record<string, string | Uint8Array>>): RowOperation {
  return {
    kind: 'update',
    fields: Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? Buffer.from(value) : value,
    ]),
  }
}

export function unset(...fields: string[]): RowOperation {
  return { kind: 'unset', fields }
}

export const remove: RowOperation = { kind: 'remove' }

export function writeOne(source: SqliteSource, key: string, operation: RowOperation): Promise<WriteResult> {
  const colon = key.indexOf(':')
  return source.write([{ keyspace: key.slice(0, colon), id: key.slice(colon + 1), operation }])
}

export async function outcomeOf(source: SqliteSource, key: string, operation: RowOperation): Promise<RowOutcome> {
  return (await writeOne(source, key, operation)).outcomes[0]!
}

/** `resolved`, or the code that the promise was rejected with. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (thrown: unknown) => (thrown as { code: string }).code,
  )
}
