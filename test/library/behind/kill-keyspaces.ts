// The two keyspaces of the rounds of kill-rounds.ts, as the process that is killed and the one that looks afterwards open them.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Tidemark } from '../../../src/index.ts'
import { sqlite } from '../../../src/sqlite.ts'

const KEYS = 6
const write = { mode: 'behind', maxDelay: '20ms', batch: 8, retry: { first: '5ms', max: '40ms' } } as const

/** Values are numbers; every seventh write removes. */
export const removes = (value: number): boolean => value % 7 === 0

export const keysOf = (keyspace: string): string[] =>
  Array.from({ length: KEYS }, (_, at) => (keyspace === 'rows' ? String(at + 1) : `k${at + 1}`))

export interface KilledKeyspace {
  readonly name: string
  write(key: string, value: number): Promise<unknown>
  remove(key: string): Promise<unknown>
  /** As fresh as can be. */
  read(key: string): Promise<number | undefined>
  flush(): Promise<void>
  /** What the database has. */
  stored(key: string): number | undefined
}

/** `upset` is called before each call of the functions to store or remove. */
export function openKilled(
  tide: Tidemark,
  directory: string,
  database: DatabaseSync,
  upset: () => Promise<void>,
): { readonly rows: KilledKeyspace; readonly values: KilledKeyspace } {
  const fresh = { maxStaleness: 0 } as const
  const file = join(directory, 'rows.db')
  const rows = tide.keyspace<{ id: number; n: number }>('rows', { source: sqlite(file).table('rows'), write })
  database.exec('CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, n INTEGER)')
  const find = database.prepare('SELECT n FROM pairs WHERE key = ?')
  const put = database.prepare('REPLACE INTO pairs (key, n) VALUES (?, ?)')
  const drop = database.prepare('DELETE FROM pairs WHERE key = ?')
  const found = (key: string): number | undefined => find.get(key)?.['n'] as number | undefined
  const values = tide.keyspace<number>('values-behind', {
    source: {
      load: ids => new Map(ids.map(id => [id, found(id)])),
      store: async entries => {
        await upset()
        for (const [key, n] of entries) put.run(key, n)
      },
      remove: async ids => {
        await upset()
        for (const id of ids) drop.run(id)
      },
    },
    write,
  })
  return {
    rows: {
      name: 'rows',
      write: (key, value) => rows.set(key, { id: Number(key), n: value }),
      remove: key => rows.delete(key),
      read: async key => (await rows.get(key, fresh))?.n,
      flush: () => rows.flush(),
      stored: key => {
        const row = database.prepare('SELECT n FROM outside.rows WHERE id = ?').get(Number(key))
        return row?.['n'] as number | undefined
      },
    },
    values: {
      name: 'values',
      write: (key, value) => values.set(key, value),
      remove: key => values.delete(key),
      read: key => values.get(key, fresh),
      flush: () => values.flush(),
      stored: found,
    },
  }
}
