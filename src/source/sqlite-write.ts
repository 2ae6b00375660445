// One write to one row: `planWrite` says what it would do and refuses what does not fit the table, before any lock is
// taken; `applyWrite` does it, inside the transaction that its caller opened.
// Not for: transactions, positions and retries (sqlite-source.ts).
import { fieldSum, type Addition } from './field-sum.ts'
import type { JsonValue } from './json-scanner.ts'
import { plannedFields } from './planned-fields.ts'
import { parseRowId } from './row-id.ts'
import { encodeRow } from './row-json.ts'
import { valueFromBytes, valueFromJson, type SqlValue } from './row-value.ts'
import type { RowBytes, RowId, RowOutcome, RowWrite } from './source.ts'
import type { ColumnMapping, TableMapping } from './sqlite-mapping.ts'
import type { SqliteStatements } from './sqlite-statements.ts'

export interface WritePlan {
  readonly mapping: TableMapping
  readonly id: RowId
  readonly key: readonly SqlValue[]
  readonly kind: RowWrite['operation']['kind']
  readonly condition: Extract<RowWrite['operation'], { kind: 'replace' }>['condition']
  readonly expected: Uint8Array | undefined
  /** Positions in `mapping.columns`, none twice and none of the key; `values` are what they are set to. */
  readonly columns: readonly number[]
  readonly values: readonly SqlValue[]
  /** What is added to the one column; its value is not known before the row is. */
  readonly addition: Addition | undefined
}

export interface Applied {
  readonly outcome: RowOutcome
  /** Why rows that nobody can name may have changed as well. */
  readonly sideEffect: string | undefined
}

export function planWrite(mapping: TableMapping, write: RowWrite): WritePlan {
  const key = parseRowId(mapping.keyspace, mapping.key, write.id)
  const { operation } = write
  const { columns, values } = plannedFields<ColumnMapping, SqlValue>(write, {
    mapping,
    table: mapping.table,
    fromJson: valueFromJson,
    fromBytes: valueFromBytes,
    fromAmount: () => null,
    isInKey: (column, json) => isInKey(mapping, key, column, json),
  })
  return {
    mapping,
    id: write.id,
    key,
    kind: operation.kind,
    condition: operation.kind === 'replace' || operation.kind === 'update' ? operation.condition : undefined,
    expected: operation.kind === 'replace' || operation.kind === 'remove' ? operation.expected : undefined,
    columns,
    values,
    addition: operation.kind === 'add' ? operation : undefined,
  }
}

function isInKey(mapping: TableMapping, key: readonly SqlValue[], column: ColumnMapping, json: JsonValue): boolean {
  const given = valueFromJson(column, json)
  const wanted = key[mapping.key.indexOf(column)]!
  if (given instanceof Uint8Array && wanted instanceof Uint8Array) return Buffer.compare(given, wanted) === 0
  return given === wanted
}

/** Whether one of the rows that plans[first] and the plans after it wait for together is there. */
export function isGroupThere(
  statementsOf: (plan: WritePlan) => SqliteStatements,
  plans: readonly WritePlan[],
  first: number,
): boolean {
  for (let i = first; i < plans.length; i++) {
    const plan = plans[i]!
    if (i > first && plan.condition !== 'and-absent') return false
    if (statementsOf(plan).row(plan.key) !== undefined) return true
  }
  return false
}

/**
 * Does what the plan says, unless it is `withheld`. Throws what SQLite throws, and ROW_INVALID; the caller rolls back then.
 */
export function applyWrite(statements: SqliteStatements, plan: WritePlan, withheld: boolean): Applied {
  const { mapping, key } = plan
  const before = statements.row(key)
  const fields = countFields(plan, before)
  if (withheld || !isExpected(plan, before) || isNothing(plan, before, fields)) {
    const row = encode(mapping, before)
    const outcome: RowOutcome = { changed: false, before: row, after: row, fields: 0, exact: true }
    return { outcome, sideEffect: undefined }
  }
  let after = execute(statements, plan, before)
  // Triggers may have changed the row once more after RETURNING, or kept the statement from happening.
  if (mapping.triggers.length > 0) after = statements.row(key)
  const sideEffect = sideEffectOf(plan, before, after)
  const outcome: RowOutcome = {
    changed: true,
    before: encode(mapping, before),
    after: encode(mapping, after),
    fields,
    exact: sideEffect === undefined,
  }
  return { outcome, sideEffect }
}

function encode(mapping: TableMapping, row: SqlValue[] | undefined): RowBytes {
  return row === undefined ? null : encodeRow(mapping.columns, row, 0)
}

/** Fields that get a value and had none (update), or had one and get none (unset). */
function countFields(plan: WritePlan, before: SqlValue[] | undefined): number {
  const had = (column: number): boolean => before !== undefined && before[column] !== null
  if (plan.kind === 'update' || plan.kind === 'add') return plan.columns.filter(column => !had(column)).length
  return plan.kind === 'unset' ? plan.columns.filter(had).length : 0
}

function isExpected({ mapping, expected }: WritePlan, before: SqlValue[] | undefined): boolean {
  if (expected === undefined) return true
  const row = encode(mapping, before)
  return row !== null && Buffer.compare(row, expected) === 0
}

function isNothing(plan: WritePlan, before: SqlValue[] | undefined, fields: number): boolean {
  switch (plan.kind) {
    case 'replace':
      if (plan.condition === 'absent') return before !== undefined
      return plan.condition === 'present' && before === undefined
    case 'update':
      return plan.columns.length === 0 || (plan.condition === 'absent' && fields < plan.columns.length)
    case 'add':
      return false
    case 'unset':
      return fields === 0
    case 'remove':
      return before === undefined
  }
}

function valuesOf(
  { mapping, columns, values, addition }: WritePlan,
  before: SqlValue[] | undefined,
): readonly SqlValue[] {
  if (addition === undefined) return values
  return columns.map(column => fieldSum(mapping.columns[column]!, before?.[column] ?? null, addition))
}

function execute(
  statements: SqliteStatements,
  plan: WritePlan,
  before: SqlValue[] | undefined,
): SqlValue[] | undefined {
  const { key, columns } = plan
  const values = valuesOf(plan, before)
  switch (plan.kind) {
    case 'replace':
      return statements.replace(key, columns, values)
    case 'update':
    case 'add':
      return before === undefined ? statements.insert(key, columns, values) : statements.update(key, columns, values)
    case 'unset':
      return statements.update(key, columns, values)
    case 'remove':
      statements.remove(key)
      return undefined
  }
}

function sideEffectOf(
  plan: WritePlan,
  before: SqlValue[] | undefined,
  after: SqlValue[] | undefined,
): string | undefined {
  const { mapping } = plan
  if (mapping.triggers.length > 0) return `a write to ${mapping.table} ran its trigger ${mapping.triggers.join(', ')}`
  if (before === undefined) return undefined
  if (after === undefined) {
    const acting = mapping.deleteActions
    return acting.length > 0 ? `a deleted row of ${mapping.table} acts on ${acting.join(', ')}` : undefined
  }
  const acting = mapping.updateActionColumns
  if (acting.size === 0) return undefined
  return plan.kind === 'replace' || plan.columns.some(column => acting.has(mapping.columns[column]!.name))
    ? `a changed row of ${mapping.table} acts on rows that refer to it`
    : undefined
}
