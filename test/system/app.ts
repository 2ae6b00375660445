// A small database and its configuration in a temporary folder, for tests that serve it as a process of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface App {
  readonly folder: string
  readonly file: string
  /** For `tidemark serve`. */
  readonly args: readonly string[]
  remove(): void
}

const CONFIG = `
import { defineConfig } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'

export default defineConfig({
  databases: { app: sqlite({ file: 'app.db' }) },
  keyspaces: { users: { database: 'app', table: 'users' } },
})
`

/** `users` with rows 0 to `rows` - 1: a name, and a counter that is 0. */
export function makeApp(rows: number): App {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-app-'))
  const file = join(folder, 'app.db')
  const database = new DatabaseSync(file)
  database.exec(`PRAGMA journal_mode = WAL;
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, visits INTEGER) STRICT`)
  const insert = database.prepare('INSERT INTO users VALUES (?, ?, 0)')
  database.exec('BEGIN')
  for (let id = 0; id < rows; id++) insert.run(id, `user ${id}`)
  database.exec('COMMIT')
  database.close()
  // The folder is outside of any project, so the configuration names the package by where it is.
  const source = join(import.meta.dirname, '..', '..', 'src')
  const config = join(folder, 'tidemark.config.ts')
  writeFileSync(
    config,
    CONFIG.replace("'tidemark'", JSON.stringify(join(source, 'index.ts'))).replace(
      "'tidemark/sqlite'",
      JSON.stringify(join(source, 'sqlite.ts')),
    ),
  )
  const args = ['--config', config, '--data', folder, '--memory', '16mb']
  return { folder, file, args, remove: () => rmSync(folder, { recursive: true }) }
}
