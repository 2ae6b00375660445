// The one connection to a SQLite file: opened and set up, its tables mapped, its transactions and version counters.
// Reads and writes share it, because PRAGMA data_version moves for every other connection, and so exactly when someone
// else has committed. It never waits: a lock held elsewhere is an error (isBusy), and the caller decides when to retry.
// Not for: queueing, positions, telling anyone (sqlite-source.ts).
import { statSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { isBusy, isReadOnly, refusal } from './sqlite-errors.ts'
import { readMappings, type SqliteKeyspace, type TableMapping } from './sqlite-mapping.ts'
import { SqliteStatements } from './sqlite-statements.ts'

export interface MappedTable {
  readonly mapping: TableMapping
  readonly statements: SqliteStatements
}

export class SqliteConnection {
  readonly #file: string
  readonly #inode: string
  readonly #keyspaces: readonly SqliteKeyspace[]
  readonly #database: DatabaseSync
  readonly #dataVersion: StatementSync
  readonly #schemaVersion: StatementSync
  readonly #control: Readonly<Record<'begin' | 'beginWrite' | 'commit' | 'rollback', StatementSync>>
  readonly #savepoint: Readonly<Record<'begin' | 'release' | 'rollback', StatementSync>>
  #tables: ReadonlyMap<string, MappedTable> = new Map()
  #mappedSchemaVersion = -1
  #problem: TidemarkError | undefined

  /** Throws a TidemarkError (SOURCE_UNAVAILABLE, MAPPING_INVALID, SOURCE_FAILED), or SQLite's own error when busy. */
  constructor(file: string, keyspaces: readonly SqliteKeyspace[]) {
    this.#file = file
    this.#keyspaces = keyspaces
    const inode = inodeOf(file)
    if (inode === undefined) {
      throw new TidemarkError(
        'SOURCE_UNAVAILABLE',
        `there is no database ${file}; create it first, or mend the file setting`,
      )
    }
    this.#inode = inode
    try {
      this.#database = new DatabaseSync(file, { timeout: 0 })
    } catch (thrown) {
      throw refusal(thrown, file)
    }
    const prepare = (sql: string): StatementSync => this.#database.prepare(sql)
    try {
      this.#setUp()
      this.#dataVersion = prepare('PRAGMA main.data_version')
      this.#schemaVersion = prepare('PRAGMA main.schema_version')
      this.#control = {
        begin: prepare('BEGIN'),
        beginWrite: prepare('BEGIN IMMEDIATE'),
        commit: prepare('COMMIT'),
        rollback: prepare('ROLLBACK'),
      }
      this.#savepoint = {
        begin: prepare('SAVEPOINT one_call'),
        release: prepare('RELEASE one_call'),
        rollback: prepare('ROLLBACK TO one_call'),
      }
      this.begin()
      this.refreshMapping()
      this.commit()
      if (this.#problem !== undefined) throw this.#problem
    } catch (thrown) {
      this.#database.close()
      if (isBusy(thrown)) throw thrown
      throw isReadOnly(thrown) ? unwritable(file, thrown) : refusal(thrown, file)
    }
  }

  #setUp(): void {
    const pragma = (name: string): unknown => Object.values(this.#database.prepare(`PRAGMA ${name}`).get() ?? {})[0]
    const mode = pragma('journal_mode = WAL')
    if (mode !== 'wal') {
      throw new TidemarkError(
        'SOURCE_UNAVAILABLE',
        `${this.#file} cannot be switched to WAL (its journal mode stays ${String(mode)}); it has to be an ordinary file` +
          ' on a local disk that this process may write',
      )
    }
    // fullfsync: on macOS fsync alone leaves the data in the drive's cache. Elsewhere it changes nothing.
    this.#database.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON')
    if (Number(pragma('synchronous')) !== 2 || Number(pragma('foreign_keys')) !== 1) {
      throw new TidemarkError('SOURCE_FAILED', `${this.#file}: synchronous = FULL or foreign_keys = ON did not take`)
    }
    try {
      // A write that is taken back shows a file or folder that may only be read, before any client's write does. (The
      // write lock alone is granted there.)
      this.#database.exec('BEGIN IMMEDIATE; PRAGMA main.user_version = 0; ROLLBACK')
    } catch (thrown) {
      if (!isBusy(thrown)) throw thrown
    }
  }

  /** Whether the path still leads to the file that is open. */
  isFileInPlace(): boolean {
    return inodeOf(this.#file) === this.#inode
  }

  /** Moves when another connection has committed anything, and only then. */
  dataVersion(): number {
    return Object.values(this.#dataVersion.get() as { data_version: number })[0]!
  }

  /** Whether someone changed the schema since it was mapped. */
  isSchemaMoved(): boolean {
    return this.#readSchemaVersion() !== this.#mappedSchemaVersion
  }

  #readSchemaVersion(): number {
    return Object.values(this.#schemaVersion.get() as { schema_version: number })[0]!
  }

  /** Maps the tables anew; call it inside a transaction. What is wrong then is thrown by `table`, not here. */
  refreshMapping(): void {
    const version = this.#readSchemaVersion()
    const { tables, problems } = readMappings(this.#database, this.#keyspaces)
    this.#problem =
      problems.length === 0
        ? undefined
        : new TidemarkError('MAPPING_INVALID', problems.map(problem => `${this.#file}: ${problem}`).join('\n'))
    const mapped = new Map<string, MappedTable>()
    for (const [name, mapping] of tables) {
      mapped.set(name, { mapping, statements: new SqliteStatements(this.#database, mapping) })
    }
    this.#tables = mapped
    this.#mappedSchemaVersion = version
  }

  /** Keyspaces whose table can be mapped. */
  mappings(): TableMapping[] {
    return [...this.#tables.values()].map(table => table.mapping)
  }

  /** Throws MAPPING_INVALID when there is no such keyspace or its database no longer fits the keyspaces. */
  table(keyspace: string): MappedTable {
    if (this.#problem !== undefined) throw this.#problem
    const table = this.#tables.get(keyspace)
    if (table !== undefined) return table
    const names = [...this.#tables.keys()].join(', ')
    throw new TidemarkError('MAPPING_INVALID', `${this.#file}: there is no keyspace ${keyspace}; there are: ${names}`)
  }

  begin(): void {
    execute(this.#control.begin)
  }

  /** Takes the write lock at once, so that nothing after it can be refused by a lock. */
  beginWrite(): void {
    execute(this.#control.beginWrite)
  }

  commit(): void {
    execute(this.#control.commit)
  }

  /** Does nothing when SQLite has rolled back already, as it does after some errors. */
  rollback(): void {
    if (this.#database.isTransaction) execute(this.#control.rollback)
  }

  isInTransaction(): boolean {
    return this.#database.isTransaction
  }

  savepoint(): void {
    execute(this.#savepoint.begin)
  }

  releaseSavepoint(): void {
    execute(this.#savepoint.release)
  }

  rollbackSavepoint(): void {
    execute(this.#savepoint.rollback)
    execute(this.#savepoint.release)
  }

  close(): void {
    this.#database.close()
  }
}

function unwritable(file: string, cause: unknown): TidemarkError {
  const text = `${file} cannot be written: ${messageOf(cause)}; its folder has to be writable as well`
  return new TidemarkError('SOURCE_UNAVAILABLE', text, { cause })
}

// Not `run`: it also returns the last rowid, and throws when that is past 2^53, although the statement has worked.
function execute(statement: StatementSync): void {
  statement.all()
}

function inodeOf(file: string): string | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}
