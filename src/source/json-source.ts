// A database whose rows are JSON as bytes, seen as a source of objects: for the library. Integers that a double does not
// hold come and go as BigInt, other numbers of that kind as text; what JSON does not have (Date, Map) is for a keyspace's schema to make of it.
// Not for: what a row's JSON may be (row-json.ts), where objects are kept.
import { TidemarkError, messageOf } from '../base/errors.ts'
import { NULL_VALUE } from '../base/null-value.ts'
import type {
  LoadResult,
  RowId,
  RowOperation,
  RowOutcome,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from './source.ts'
import type { SpeltRows } from './spelt-rows.ts'

/** A run of digits, with a point or without, that may be more than a double holds exactly. */
const LONG_NUMBER = /[\d.]{16}/

interface NumberContext {
  readonly source?: string
}

/** The object that a row's JSON spells. */
export function rowFromJson(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  return LONG_NUMBER.test(text) ? JSON.parse(text, exactNumber) : JSON.parse(text)
}

function exactNumber(this: unknown, _name: string, value: unknown, context?: NumberContext): unknown {
  if (typeof value !== 'number') return value
  const spelt = context?.source ?? ''
  if (/^-?\d+$/.test(spelt)) return Number.isSafeInteger(value) ? value : BigInt(spelt)
  // Infinities are spelt as numbers past all doubles (row-json.ts).
  return !Number.isFinite(value) || digitsOf(spelt) === digitsOf(String(value)) ? value : spelt
}

/** Without zeros at the ends. A double has the same digits as what it was read from, or has lost some. */
function digitsOf(number: string): string {
  return number
    .replace(/e.*$/i, '')
    .replace(/[-.]/g, '')
    .replace(/^0+|0+$/g, '')
}

/** A row's JSON. Bytes (Buffer, Uint8Array) are spelt in base64, as columns for blobs take them. Throws ROW_INVALID. */
export function rowToJson(key: string, value: unknown): Uint8Array {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const got =
      value === null || value === NULL_VALUE ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
    throw new TidemarkError('ROW_INVALID', `'${key}': a row is an object with its columns as members, not ${got}`)
  }
  try {
    return Buffer.from(JSON.stringify(value, spell))
  } catch (cause) {
    throw new TidemarkError('ROW_INVALID', `'${key}' has no JSON: ${messageOf(cause)}`, { cause })
  }
}

interface RawJson {
  rawJSON(text: string): unknown
}

function spell(this: unknown, name: string, value: unknown): unknown {
  // JSON would make null of it.
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`'${name}' is ${value}`)
  if (typeof value === 'bigint') return (JSON as unknown as RawJson).rawJSON(String(value))
  // A Buffer has been turned into an object by its own toJSON already.
  const own = (this as Readonly<Record<string, unknown>>)[name]
  if (own instanceof Uint8Array) return Buffer.from(own.buffer, own.byteOffset, own.length).toString('base64')
  return value
}

/** How often a row that others change meanwhile is read and changed again. */
const ATTEMPTS_MAX = 100

export class JsonSource implements Source<unknown> {
  readonly #rows: Source
  readonly #spelt: SpeltRows | undefined
  readonly #underWay = new Set<Promise<unknown>>()

  /** `spelt` keeps the JSON of the rows that come. */
  constructor(rows: Source, spelt?: SpeltRows) {
    this.#rows = rows
    this.#spelt = spelt
  }

  get name(): string {
    return this.#rows.name
  }

  get epoch(): bigint {
    return this.#rows.epoch
  }

  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const { rows, stamp } = await this.#tracked(this.#rows.load(keyspace, ids))
    return { rows: rows.map(row => this.#objectOf(row)), stamp }
  }

  async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    const { outcomes, stamp } = await this.#tracked(this.#rows.write(writes.map(asBytes)))
    return { outcomes: outcomes.map(outcome => this.#asObjects(outcome)), stamp }
  }

  async change(
    keyspace: string,
    id: RowId,
    change: (row: unknown) => Promise<unknown>,
  ): Promise<WriteResult<unknown> | undefined> {
    const { rows } = await this.#tracked(this.#rows.load(keyspace, [id]))
    let before = rows[0] ?? null
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const next = await change(this.#objectOf(before))
      if (next === null && before === null) return undefined
      const operation = operationFrom(before, next === null ? null : rowToJson(`${keyspace}:${id}`, next))
      const { outcomes, stamp } = await this.#tracked(this.#rows.write([{ keyspace, id, operation }]))
      const [outcome] = outcomes
      if (outcome!.changed) return { outcomes: [this.#asObjects(outcome!)], stamp }
      before = outcome!.before
    }
    const message = `'${keyspace}:${id}' was changed by others each of ${ATTEMPTS_MAX} times that it was to be updated; try again`
    throw new TidemarkError('SOURCE_BUSY', message)
  }

  position(): Promise<SourcePosition> {
    return this.#rows.position()
  }

  close(): Promise<void> {
    return this.#rows.close()
  }

  /** Resolves once no call is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  #objectOf(json: Uint8Array | null): unknown {
    if (json === null) return null
    const row = rowFromJson(json)
    this.#spelt?.keep(row, json)
    return row
  }

  #asObjects(outcome: RowOutcome): RowOutcome<unknown> {
    return { ...outcome, before: this.#objectOf(outcome.before), after: this.#objectOf(outcome.after) }
  }

  async #tracked<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call)
    try {
      return await call
    } finally {
      this.#underWay.delete(call)
    }
  }
}

/** Only if the row is still the one that it was. */
function operationFrom(before: Uint8Array | null, next: Uint8Array | null): RowOperation {
  if (next === null) return { kind: 'remove', expected: before! }
  return before === null
    ? { kind: 'replace', row: next, condition: 'absent' }
    : { kind: 'replace', row: next, expected: before }
}

function asBytes({ keyspace, id, operation }: RowWrite<unknown>): RowWrite {
  return { keyspace, id, operation: operationAsBytes(`${keyspace}:${id}`, operation) }
}

function operationAsBytes(key: string, operation: RowOperation<unknown>): RowOperation {
  if (operation.kind === 'remove') return { kind: 'remove' }
  if (operation.kind !== 'replace') return operation
  const { expected: _, ...rest } = operation
  return { ...rest, row: rowToJson(key, operation.row) }
}
