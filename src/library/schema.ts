// Schemas of any library that keeps to Standard Schema (zod, valibot, arktype and others): values are checked against one on
// their way in and out. The interface is https://standardschema.dev, version 1, of which this is the part that is used.
import { TidemarkError } from '../base/errors.ts'
import type { LoadResult, RowId, RowWrite, Source, WriteResult } from '../source/source.ts'
import { RowFailure } from '../source/source.ts'
import type { SpeltRows } from '../source/spelt-rows.ts'
import { WrappedSource } from '../source/wrapped-source.ts'
import { Entry } from '../near/entry.ts'

export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

const ISSUES_SHOWN_MAX = 5

/** The value as the schema gives it. Rejects with VALUE_INVALID. */
export async function checked<V>(schema: StandardSchema<V>, key: string, value: unknown): Promise<V> {
  const result = await schema['~standard'].validate(value)
  if (result.issues === undefined) return result.value
  const shown = result.issues.slice(0, ISSUES_SHOWN_MAX).map(({ path, message }) => {
    const where = (path ?? []).map(part => String(typeof part === 'object' ? part.key : part)).join('.')
    return where === '' ? message : `${where}: ${message}`
  })
  const more = result.issues.length - shown.length
  const all = shown.join('; ') + (more > 0 ? `; and ${more} more` : '')
  throw new TidemarkError('VALUE_INVALID', `'${key}' is not as its schema says: ${all}`)
}

/** A source whose rows are checked as they come. A row that is not as the schema says fails alone. */
export class CheckedSource extends WrappedSource {
  readonly #schemas: ReadonlyMap<string, StandardSchema<unknown>>
  readonly #spelt: SpeltRows | undefined

  /** `schemas` by keyspace; a keyspace without one is not checked. `spelt` learns what they make of rows. */
  constructor(source: Source<unknown>, schemas: ReadonlyMap<string, StandardSchema<unknown>>, spelt?: SpeltRows) {
    super(source)
    this.#schemas = schemas
    this.#spelt = spelt
  }

  override async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<unknown>> {
    const loaded = await super.load(keyspace, ids)
    const schema = this.#schemas.get(keyspace)
    if (schema === undefined) return loaded
    const rows = await Promise.all(loaded.rows.map((row, i) => this.#check(schema, `${keyspace}:${ids[i]!}`, row)))
    return { ...loaded, rows }
  }

  /** What the database made of a row that was checked before is checked too: it is what readers are going to get. */
  override async write(writes: readonly RowWrite<unknown>[]): Promise<WriteResult<unknown>> {
    return this.#checkWritten(writes, await super.write(writes))
  }

  async #checkWritten(
    writes: readonly Pick<RowWrite, 'keyspace' | 'id'>[],
    { outcomes, stamp }: WriteResult<unknown>,
  ): Promise<WriteResult<unknown>> {
    const checkedOutcomes = outcomes.map(async (outcome, i) => {
      const { keyspace, id } = writes[i]!
      const schema = this.#schemas.get(keyspace)
      if (schema === undefined || outcome.after === null) return outcome
      const after = await this.#check(schema, `${keyspace}:${id}`, outcome.after)
      return after instanceof RowFailure ? { ...outcome, exact: false } : { ...outcome, after }
    })
    return { outcomes: await Promise.all(checkedOutcomes), stamp }
  }

  /** What is changed is checked before and after. A row that is not as the schema says cannot be changed. */
  override get change(): Source<unknown>['change'] {
    const change = super.change
    if (change === undefined) return undefined
    return async (keyspace, id, make) => {
      const schema = this.#schemas.get(keyspace)
      if (schema === undefined) return change(keyspace, id, make)
      const key = `${keyspace}:${id}`
      const write = await change(keyspace, id, async row => {
        const next = await make(row === null ? null : await checked(schema, key, row))
        return next === null ? null : checked(schema, key, next)
      })
      return write && this.#checkWritten([{ keyspace, id }], write)
    }
  }

  async #check(schema: StandardSchema<unknown>, key: string, row: unknown): Promise<unknown> {
    const made = await check(schema, key, row)
    this.#spelt?.hand(row, made)
    return made
  }
}

async function check(schema: StandardSchema<unknown>, key: string, row: unknown): Promise<unknown> {
  if (row === null || row instanceof RowFailure) return row
  try {
    if (row instanceof Entry) return new Entry(await checked(schema, key, row.value), row)
    return await checked(schema, key, row)
  } catch (error) {
    return new RowFailure(error)
  }
}
