// What a user is, as a schema by hand; one of zod, valibot or arktype would do as well.
import type { SchemaResult, StandardSchema } from 'tidemark'

export interface User {
  readonly id: number
  readonly name: string
  readonly country: string
}

export const User: StandardSchema<User> = {
  '~standard': { version: 1, vendor: 'tidemark-example', validate },
}

function validate(value: unknown): SchemaResult<User> {
  if (typeof value !== 'object' || value === null) return { issues: [{ message: 'is no object' }] }
  const { id, name, country } = value as Partial<Record<keyof User, unknown>>
  if (!Number.isSafeInteger(id)) return { issues: [{ path: ['id'], message: 'is no whole number' }] }
  if (typeof name !== 'string' || name === '') return { issues: [{ path: ['name'], message: 'is no text' }] }
  if (typeof country !== 'string') return { issues: [{ path: ['country'], message: 'is no text' }] }
  return { value: { id: id as number, name, country } }
}
