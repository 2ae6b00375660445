// One write to one row: `planWrite` says what it would do and refuses what does not fit the table, before anything is sent;
// `statementOf` is how it is sent, and `outcomeOf` what the answer means.
// Not for: transactions and retries (postgres-writer.ts), SQL text (postgres-statements.ts).
import { TidemarkError } from '../base/errors.ts'
import type { Addition } from './field-sum.ts'
import type { JsonValue } from './json-scanner.ts'
import { plannedFields } from './planned-fields.ts'
import { parseKey } from './postgres-key.ts'
import type { KeyspaceMapping, MappedColumn } from './postgres-mapping.ts'
import type { Cell, Parameter, Statement } from './postgres-pool.ts'
import { answer, type PostgresStatements, type WriteShape } from './postgres-statements.ts'
import { encodeCells, parameterFromBytes, parameterFromJson, parameterOfSum } from './postgres-value.ts'
import type { RowId, RowOutcome, RowWrite } from './source.ts'

type Value = string | Buffer | null

export interface WritePlan {
  readonly statements: PostgresStatements
  readonly id: RowId
  readonly key: readonly string[]
  readonly kind: RowWrite['operation']['kind']
  readonly condition: Extract<RowWrite['operation'], { kind: 'replace' }>['condition']
  readonly expected: Uint8Array | undefined
  /** Positions in the mapping's columns, none twice and none of the key; `values` are what they are set to. */
  readonly columns: readonly number[]
  readonly values: readonly Value[]
  /** What is added to the one column, where the database cannot add it itself: the row has to be read first. */
  readonly addition: Addition | undefined
}

export function planWrite(statements: PostgresStatements, write: RowWrite): WritePlan {
  const { mapping } = statements
  if (mapping.relation === undefined) {
    throw new TidemarkError('ROW_OPERATION', `keyspace ${mapping.keyspace} shows a view, whose rows cannot be written`)
  }
  const { operation } = write
  const key = parseKey(mapping.keyspace, mapping.key, write.id)
  const { columns, values } = plannedFields<MappedColumn, Value>(write, {
    mapping,
    table: mapping.from,
    fromJson: parameterFromJson,
    fromBytes: parameterFromBytes,
    fromAmount: amount => amount,
    isInKey: (column, json) => isInKey(mapping, key, column, json),
  })
  const conditional = operation.kind === 'replace' || operation.kind === 'update'
  return {
    statements,
    id: write.id,
    key,
    kind: operation.kind,
    condition: conditional ? operation.condition : undefined,
    expected: operation.kind === 'replace' || operation.kind === 'remove' ? operation.expected : undefined,
    columns,
    values,
    addition: operation.kind === 'add' && !isPlainSum(mapping.columns[columns[0]!]!, operation) ? operation : undefined,
  }
}

/** Whether the database computes the same sum as we would. */
function isPlainSum(column: MappedColumn, addition: Addition): boolean {
  return addition.as === 'integer' && column.kind === 'integer'
}

function isInKey(mapping: KeyspaceMapping, key: readonly string[], column: MappedColumn, json: JsonValue): boolean {
  const at = mapping.key.findIndex(({ name }) => name === column.name)
  const given = parameterFromJson(mapping.key[at]!, json)
  const text = Buffer.isBuffer(given) ? `\\x${given.toString('hex')}` : given
  // In the JSON a boolean is true or false, in an id t or f; char(n) may have its blanks.
  const { keyType } = mapping.key[at]!
  if (keyType === 'bool') return text?.[0] === key[at]
  return keyType === 'bpchar' ? text?.trimEnd() === key[at] : text === key[at]
}

function shapeOf(plan: WritePlan): WriteShape {
  switch (plan.kind) {
    case 'replace':
      if (plan.condition === 'present') return 'replace-present'
      return plan.condition === 'absent' ? 'replace-absent' : 'replace'
    case 'update':
      if (plan.columns.length === 0) return 'read'
      return plan.condition === 'absent' ? 'update-absent' : 'update'
    case 'add':
      return plan.addition === undefined ? 'add' : 'update'
    case 'unset':
      return plan.columns.length === 0 ? 'read' : 'unset'
    case 'remove':
      return 'remove'
  }
}

/** What does the plan, or with `shape` only looks at its row. */
export function statementOf(plan: WritePlan, shape: WriteShape = shapeOf(plan)): Statement {
  const { statements, key, columns, values } = plan
  const reading = shape === 'read' || shape === 'lock'
  const text = statements.write(shape, reading || shape === 'remove' ? [] : columns)
  const given: readonly Parameter[] = reading || shape === 'remove' || shape === 'unset' ? [] : values
  return { ...text, values: [...key, ...given] }
}

/** The plan with its sum worked out from the row that is locked. */
export function planSum(plan: WritePlan, locked: readonly Cell[]): WritePlan {
  const { columns: all } = plan.statements.mapping
  const [position] = plan.columns
  const cell = locked[answer.before] === null ? null : locked[answer.before + 1 + position!]!
  return { ...plan, values: [parameterOfSum(all[position!]!, cell, plan.addition!)] }
}

/** Whether the row that is locked is the one that the plan is for. */
export function isExpected({ statements, expected }: WritePlan, locked: readonly Cell[]): boolean {
  if (locked[answer.before] === null) return false
  const row = encodeCells(statements.mapping.columns, locked, answer.before + 1)
  return Buffer.compare(row, expected!) === 0
}

/** undefined: another transaction inserted the row at the same time. Nothing was written; the same call sees it next time. */
export function outcomeOf(plan: WritePlan, cells: readonly Cell[], withheld = false): RowOutcome | undefined {
  const { columns } = plan.statements.mapping
  const beforeThere = cells[answer.before] !== null
  const after = answer.before + 1 + columns.length
  const done = cells[after] !== null
  const before = beforeThere ? encodeCells(columns, cells, answer.before + 1) : null
  const reading = withheld || shapeOf(plan) === 'read'
  if (!reading && !done && !beforeThere && isInsert(plan)) return undefined
  if (reading || !done) return { changed: false, before, after: before, fields: 0, exact: true }
  return {
    changed: true,
    before,
    after: plan.kind === 'remove' ? null : encodeCells(columns, cells, after + 1),
    fields: countFields(plan, cells, beforeThere),
    exact: cells[answer.exact] === 't',
  }
}

function isInsert(plan: WritePlan): boolean {
  if (plan.kind === 'replace') return plan.condition !== 'present'
  return plan.kind === 'update' || plan.kind === 'add'
}

/** Fields that get a value and had none (update), or had one and get none (unset). */
function countFields(plan: WritePlan, cells: readonly Cell[], beforeThere: boolean): number {
  const had = (column: number): boolean => beforeThere && cells[answer.before + 1 + column] !== null
  if (plan.kind === 'update' || plan.kind === 'add') return plan.columns.filter(column => !had(column)).length
  return plan.kind === 'unset' ? plan.columns.filter(had).length : 0
}
