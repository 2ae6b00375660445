// Rows of the simulation as bytes: `{"id":"3","v":17}`. One keyspace of plain rows, one whose table has a trigger, one of
// counters.
import type { KeyspaceDescription } from '../../src/source/source.ts'
import type { Value } from './truth.ts'

export const PLAIN = 'k'
export const TRIGGERED = 't'
/** Rows that nobody writes but `update` of the library, which adds 1. */
export const COUNTERS = 'c'

export function describeKeyspace(name: string): KeyspaceDescription {
  return {
    name,
    table: name,
    columns: [
      { name: 'id', type: 'text', nullable: false, key: true },
      { name: 'v', type: 'integer', nullable: false, key: false },
    ],
    keyColumns: ['id'],
  }
}

export function rowOf(id: string, value: Value): Uint8Array | null {
  return value === null ? null : Buffer.from(`{"id":"${id}","v":${value}}`)
}

export function valueOf(row: Uint8Array | null): Value {
  if (row === null) return null
  const text = Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('latin1')
  return Number(text.slice(text.lastIndexOf(':') + 1, -1))
}
