// A cache for tests of commands: one keyspace `users` over a database that is a Map, behind the part of Cache that commands
// see. Rows are loaded into the store, as the cache does, and writes are one transaction. It proves nothing about the real
// cache and source: those have tests of their own.
import { TidemarkError } from '../../src/base/errors.ts'
import type { Cache } from '../../src/cache/cache.ts'
import { encodeRow } from '../../src/source/row-json.ts'
import type { SqlValue } from '../../src/source/row-value.ts'
import type { ColumnDescription, KeyspaceDescription, RowOperation, RowOutcome } from '../../src/source/source.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { Store } from '../../src/store/store.ts'

type Row = Record<string, SqlValue>

function column(name: string, type: ColumnDescription['type'], key: boolean): ColumnDescription {
  return { name, type, nullable: !key, key }
}

export const usersDescription: KeyspaceDescription = {
  name: 'users',
  table: 'users',
  columns: [column('id', 'integer', true), column('name', 'text', false), column('city', 'text', false)],
  keyColumns: ['id'],
}

export class FakeCache {
  readonly hits = new Float64Array(1)
  readonly misses = new Float64Array(1)
  readonly rows = new Map<string, Row>()
  /** Questions to the database, and transactions. */
  loads: string[][] = []
  transactions = 0
  servable = true
  readonly #store: Store
  readonly #keyspace = { description: usersDescription }

  constructor(store: Store) {
    this.#store = store
  }

  asCache(): Cache {
    return this as unknown as Cache
  }

  keyspaceOf(bytes: Uint8Array, start: number, end: number): { description: KeyspaceDescription } | undefined {
    return Buffer.from(bytes.subarray(start, end)).indexOf('users:') === 0 ? this.#keyspace : undefined
  }

  isServable(): boolean {
    return this.servable
  }

  // Waits, as a real cache does, so that handlers are seen to copy what they need.
  async read(keys: string[]): Promise<(Uint8Array | null)[]> {
    this.loads.push(keys)
    await Promise.resolve()
    return keys.map(key => {
      const json = this.#json(key)
      this.#remember(key, json)
      return json
    })
  }

  async write(writes: { key: string; operation: RowOperation }[]): Promise<RowOutcome[]> {
    await Promise.resolve()
    const undo = new Map(this.rows)
    try {
      const outcomes = writes.map(({ key, operation }) => this.#apply(key, operation))
      for (const { key } of writes) this.#remember(key, this.#json(key))
      this.transactions++
      return outcomes
    } catch (error) {
      this.rows.clear()
      for (const [key, row] of undo) this.rows.set(key, row)
      throw error
    }
  }

  #json(key: string): Buffer | null {
    const row = this.rows.get(key)
    if (row === undefined) return null
    const { columns } = usersDescription
    return encodeRow(
      columns,
      columns.map(column => row[column.name] ?? null),
      0,
    )
  }

  #remember(key: string, json: Buffer | null): void {
    const bytes = Buffer.from(key)
    const hash = this.#store.hash(bytes, 0, bytes.length)
    const type = json === null ? RecordType.absentRow : RecordType.row
    const value = json ?? Buffer.alloc(0)
    this.#store.set(bytes, 0, bytes.length, hash, type, value, 0, value.length, 0, 0)
  }

  #apply(key: string, operation: RowOperation): RowOutcome {
    const before = this.#json(key)
    const fields = this.#change(key, operation)
    const after = this.#json(key)
    const changed = fields !== -1
    return { changed, before, after, fields: Math.max(fields, 0), exact: true }
  }

  /** The number of fields for the outcome, -1 when nothing was changed. */
  #change(key: string, operation: RowOperation): number {
    const old = this.rows.get(key)
    const id = BigInt(key.slice('users:'.length))
    switch (operation.kind) {
      case 'replace':
        if (operation.condition !== undefined && (operation.condition === 'absent') !== (old === undefined)) return -1
        this.rows.set(key, { ...this.#parse(operation.row), id })
        return 0
      case 'update': {
        for (const [name] of operation.fields) this.#check(name)
        const set = operation.fields.map(([name, value]) => [name, Buffer.from(value).toString()] as const)
        this.rows.set(key, { ...old, id, ...Object.fromEntries(set) })
        return set.filter(([name]) => (old?.[name] ?? null) === null).length
      }
      case 'unset': {
        for (const name of operation.fields) this.#check(name)
        const gone = operation.fields.filter(name => (old?.[name] ?? null) !== null)
        if (gone.length === 0 || old === undefined) return -1
        this.rows.set(key, { ...old, ...Object.fromEntries(gone.map(name => [name, null])) })
        return gone.length
      }
      case 'remove':
        return this.rows.delete(key) ? 0 : -1
    }
  }

  #parse(json: Uint8Array): Row {
    let row: unknown
    try {
      row = JSON.parse(Buffer.from(json).toString())
    } catch (cause) {
      throw new TidemarkError('ROW_INVALID', 'the row is no JSON', { cause })
    }
    return row as Row
  }

  #check(name: string): void {
    const column = usersDescription.columns.find(column => column.name === name)
    if (column === undefined) throw new TidemarkError('ROW_INVALID', `users has no column ${name}`)
    if (column.key) throw new TidemarkError('ROW_KEY_COLUMN', `${name} is a key column`)
  }
}
