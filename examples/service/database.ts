// The service's database: made, with some users, when its file is not there yet. The service reads and writes users through the cache;
// what it counts for its report, it asks by SQL.
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

/** The database at `file`, for questions. */
export function openDatabase(file: string): DatabaseSync {
  const isNew = !existsSync(file)
  const database = new DatabaseSync(file, { timeout: 5_000 })
  if (isNew) {
    database.exec(`
      PRAGMA journal_mode = WAL;
      BEGIN;
      CREATE TABLE users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        country TEXT NOT NULL CHECK (length(country) = 2)
      ) STRICT;
      INSERT INTO users (name, country) VALUES ('Ada', 'GB'), ('Grace', 'US'), ('Edsger', 'NL'), ('Barbara', 'US');
      COMMIT;
    `)
  }
  return database
}
