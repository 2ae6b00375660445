// The configuration under which row keys are measured: a table whose rows all fit in memory. The path of the entry is
// relative, because bench/ is a package of its own.
import { DatabaseSync } from 'node:sqlite'
import { defineConfig } from '../../src/index.ts'
import { sqlite } from '../../src/sqlite.ts'

const rows = Number(process.env['TIDEMARK_BENCH_ROWS'] ?? '1000')

export default defineConfig({
  databases: {
    bench: sqlite({
      file: 'bench.db',
      create: ({ file, progress }) => {
        const database = new DatabaseSync(file)
        database.exec('CREATE TABLE rows (id TEXT PRIMARY KEY NOT NULL, v TEXT NOT NULL) STRICT, WITHOUT ROWID; BEGIN')
        const insert = database.prepare('INSERT INTO rows VALUES (?, ?)')
        for (let row = 0; row < rows; row++) insert.run(String(row).padStart(12, '0'), 'x'.repeat(36))
        database.exec('COMMIT')
        database.close()
        progress(rows, rows, 'rows')
        return Promise.resolve()
      },
    }),
  },
  keyspaces: { rows: { database: 'bench', table: 'rows', maxStaleness: '500ms', whenStale: 'source' } },
})
