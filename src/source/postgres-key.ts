// Key columns of Postgres' types in row ids. A key that names a row is a cache key, so each row has exactly one spelling:
// the one that Postgres itself writes. What it would read but write otherwise is refused here, before it is asked.
//
//   smallint, integer, bigint   digits, '-' in front of negative ones, no leading zero, in the type's range
//   text, varchar, enums        as they are; char(n) without the blanks at its end
//   uuid                        lower case, with hyphens
//   numeric(p,s)                with exactly s decimals
//   boolean                     t, f
//   date, timestamp, timestamptz  2026-11-23, 2026-11-23 09:30:00.5, 2026-11-23 09:30:00.5+00, of the years 1 to 9999
//   bytea                       lower-case hexadecimal
//   composite                   the parts in the key's order, joined by ':'; '%' and ':' in a part are %25 and %3A
//
// Not for: finding out which columns are the key (postgres-mapping.ts).
import { TidemarkError } from '../base/errors.ts'
import type { Cell } from './postgres-pool.ts'
import type { RowId } from './source.ts'

export interface KeyColumn {
  readonly name: string
  /** The base type's name in pg_type; of an enum 'enum'. */
  readonly keyType: string
  /** Decimals of a numeric. */
  readonly scale: number
  /** Of an enum. */
  readonly labels?: ReadonlySet<string> | undefined
}

/** Those that a key column may have. */
export const keyTypes: ReadonlySet<string> = new Set([
  'int2',
  'int4',
  'int8',
  'text',
  'varchar',
  'bpchar',
  'enum',
  'uuid',
  'numeric',
  'bool',
  'date',
  'timestamp',
  'timestamptz',
  'bytea',
])

const integerRange: Readonly<Record<string, bigint>> = { int2: 1n << 15n, int4: 1n << 31n, int8: 1n << 63n }

/** The key columns' values as text for their types to read; throws ROW_KEY_INVALID when `id` is not the one spelling of any. */
export function parseKey(keyspace: string, key: readonly KeyColumn[], id: RowId): string[] {
  const parts = key.length > 1 ? id.split(':') : [id]
  const values: string[] = []
  if (parts.length === key.length) {
    for (const [i, part] of parts.entries()) {
      const text = key.length > 1 ? decodePart(part) : part
      if (text === undefined || !isCanonical(key[i]!, text)) break
      values.push(key[i]!.keyType === 'bytea' ? `\\x${text}` : text)
    }
  }
  if (values.length === key.length) return values
  const shape = key.map(column => `<${column.name}: ${column.keyType}>`).join(':')
  const got = JSON.stringify(`${keyspace}:${id.slice(0, 80)}`)
  throw new TidemarkError(
    'ROW_KEY_INVALID',
    `${got} is no key of keyspace ${keyspace}: expected ${keyspace}:${shape}, spelt as Postgres writes it` +
      (key.length > 1 ? ", with '%' as %25 and ':' as %3A" : ''),
  )
}

/** The id of a row whose key columns Postgres writes like this; undefined when one is NULL. */
export function formatKey(key: readonly KeyColumn[], cells: readonly Cell[]): RowId | undefined {
  let id = ''
  for (let i = 0; i < key.length; i++) {
    const cell = cells[i]
    if (cell === null || cell === undefined) return undefined
    const { keyType } = key[i]!
    let part = cell
    if (keyType === 'bytea') part = cell.slice(2)
    else if (keyType === 'bpchar') part = cell.replace(/ +$/, '')
    if (key.length > 1 && (part.includes('%') || part.includes(':'))) {
      part = part.replaceAll('%', '%25').replaceAll(':', '%3A')
    }
    id += i === 0 ? part : `:${part}`
  }
  return id
}

function decodePart(part: string): string | undefined {
  if (!part.includes('%')) return part
  return /%(?!25|3A)/.test(part) ? undefined : part.replaceAll('%3A', ':').replaceAll('%25', '%')
}

function isCanonical(column: KeyColumn, text: string): boolean {
  if (text.includes('\0') || !text.isWellFormed()) return false
  switch (column.keyType) {
    case 'int2':
    case 'int4':
    case 'int8':
      return isInteger(text, integerRange[column.keyType]!)
    case 'numeric':
      return isNumeric(text, column.scale)
    case 'uuid':
      return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)
    case 'bool':
      return text === 't' || text === 'f'
    case 'bytea':
      return /^(?:[0-9a-f]{2})*$/.test(text)
    case 'bpchar':
      return !text.endsWith(' ')
    case 'enum':
      return column.labels?.has(text) === true
    case 'date':
      return isTime(text, /^(\d{4}-\d\d-\d\d)()$/)
    case 'timestamp':
      return isTime(text, /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d{0,5}[1-9])?$/)
    case 'timestamptz':
      return isTime(text, /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d{0,5}[1-9])?\+00$/)
    default:
      return true
  }
}

function isInteger(text: string, range: bigint): boolean {
  if (!/^(?:0|-?[1-9][0-9]{0,18})$/.test(text)) return false
  const value = BigInt(text)
  return value < range && value >= -range
}

function isNumeric(text: string, scale: number): boolean {
  if (/^-0(?:\.0*)?$/.test(text)) return false
  const match = /^-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?$/.exec(text)
  return match !== null && (match[1]?.length ?? 0) === scale
}

function isTime(text: string, shape: RegExp): boolean {
  const match = shape.exec(text)
  if (match === null) return false
  const [, day, time] = match
  if (day!.startsWith('0000')) return false
  const iso = `${day}T${time === '' ? '00:00:00' : time}.000Z`
  const date = new Date(iso)
  return !Number.isNaN(date.getTime()) && date.toISOString() === iso
}
