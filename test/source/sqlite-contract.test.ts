// The contract of all sources, kept by SqliteSource on real files.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { SqliteSource } from '../../src/source/sqlite-source.ts'
import { sourceContract, type SourceFixture } from '../../src/testing/source-contract.ts'

async function make(sql: string): Promise<SourceFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-contract-'))
  const file = join(folder, 'data.db')
  const outside = new DatabaseSync(file)
  outside.exec(sql)
  const source = await SqliteSource.open({
    name: 'main',
    file,
    busyTimeoutMs: 1000,
    pollMs: 25,
    keyspaces: [{ name: 'things', table: 'things' }],
    clock: systemClock(),
    random: systemRandom(),
  })
  return {
    source,
    keyspace: 'things',
    caughtUp: async () => source.poll(),
    renameOutside: async (id, name) => {
      outside.prepare('UPDATE things SET name = ? WHERE id = ?').run(name, BigInt(id))
    },
    close: async () => {
      await source.close()
      outside.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const columns = 'name TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 7, note TEXT, ratio REAL, data BLOB'

sourceContract('a STRICT table', () => make(`CREATE TABLE things (id INTEGER PRIMARY KEY, ${columns}) STRICT`))
sourceContract('a table that is not STRICT', () => make(`CREATE TABLE things (id INTEGER PRIMARY KEY, ${columns})`))
sourceContract('a table WITHOUT ROWID', () =>
  make(`CREATE TABLE things (id INTEGER PRIMARY KEY, ${columns}) WITHOUT ROWID`),
)
