// A source over a real file of SQLite that answers, each time, one thing otherwise than the contract of sources has it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { SqliteSource } from '../../../src/source/sqlite-source.ts'
import type { SourceFixture } from '../../../src/testing/index.ts'

const columns = 'name TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 7, note TEXT, ratio REAL, data BLOB'

type Change = (good: SqliteSource) => Partial<SourceFixture['source']>

export async function sourceWith(change: Change): Promise<SourceFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-broken-'))
  const file = join(folder, 'data.db')
  const outside = new DatabaseSync(file)
  outside.exec(`CREATE TABLE things (id INTEGER PRIMARY KEY, ${columns}) STRICT`)
  const good = await SqliteSource.open({
    name: 'main',
    file,
    busyTimeoutMs: 1000,
    pollMs: 25,
    keyspaces: [{ name: 'things', table: 'things' }],
    clock: systemClock(),
    random: systemRandom(),
  })
  const changed = change(good)
  const source = new Proxy<SourceFixture['source']>(good, {
    get: (_, name) => {
      const found: unknown = Reflect.get(name in changed ? changed : good, name)
      return typeof found === 'function' ? (found.bind(good) as unknown) : found
    },
  })
  return {
    source,
    keyspace: 'things',
    caughtUp: async () => good.poll(),
    renameOutside: async (id, name) => {
      outside.prepare('UPDATE things SET name = ? WHERE id = ?').run(name, BigInt(id))
    },
    close: async () => {
      await good.close()
      outside.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** By what they do: a rule that they break. */
export const brokenSources: Readonly<Record<string, readonly [breaks: string, change: Change]>> = {
  'rows in the order of the table': [
    'loads answer in the order asked, with duplicates, and null for rows that are not there',
    good => ({ load: (keyspace, ids) => good.load(keyspace, [...ids].sort()) }),
  ],
  'changes that were none': [
    'replace under a condition that does not hold changes nothing',
    good => ({
      write: async writes => {
        const { stamp, outcomes } = await good.write(writes)
        return { stamp, outcomes: outcomes.map(outcome => ({ ...outcome, changed: true })) }
      },
    }),
  ],
  'a feed that nobody hears': [
    'the feed tells every change of ours, in order, under its whole key',
    () => ({ subscribe: () => {} }),
  ],
}
