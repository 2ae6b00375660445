// Types of keyspaces, held by `tsc` (npm run check:types; test/types/types.test.ts): what is inferred, and which mistakes do not compile. A line behind
// `@ts-expect-error` that compiles after all is an error itself. Never run.
// Not for: what happens where types were switched off (test/library).
import { createTidemark, structuredCodec, type Keyspace, type SourceFunctions, type StandardSchema } from 'tidemark'
import { postgres } from 'tidemark/postgres'
import { sqlite } from 'tidemark/sqlite'

interface User {
  readonly id: number
  readonly name: string
}

declare const User: StandardSchema<User>

/** Compiles only where both are the same type, `any` being the same as nothing but itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(is: Same<A, B>): void

const tide = await createTidemark({ near: { maxSize: '256mb', maxEntries: 1_000 }, maxStaleness: '500ms' })
const source = sqlite('app.db').table('users')

export async function theSchemaGivesTheType(): Promise<void> {
  const users = tide.keyspace('users', { source, schema: User, ttl: '10m', maxStaleness: 0, whenStale: 'fail' })
  same<typeof users, Keyspace<User>>(true)
  const user = await users.get('42')
  same<typeof user, User | undefined>(true)
  const many = await users.getMany(['1', '2'])
  same<typeof many, Map<string, User>>(true)
  const answer = await users.read('42', { maxStaleness: '1s' })
  same<typeof answer.value, User | undefined>(true)
  same<typeof answer.tier, 'near' | 'tier' | 'source'>(true)
  const peeked = users.peek('42')
  same<typeof peeked, User | undefined>(true)
  await users.update('42', user => user && { ...user, name: 'Ada' })
  // @ts-expect-error: a value of another type
  await users.set('42', { id: '42', name: 'Ada' })
  // @ts-expect-error: a member is missing
  await users.set('42', { id: 42 })
  // @ts-expect-error: undefined is the absence of a value
  await users.set('42', undefined)
  // @ts-expect-error: an update makes a value of the type
  await users.update('42', () => 'Ada')
  // @ts-expect-error: keys are strings
  await users.get(42)
  // @ts-expect-error: keys are strings
  await users.setMany([[42, { id: 42, name: 'Ada' }]])
  await users.get('42', { session: tide.session() })
  await users.get('42', { session: false })
  // @ts-expect-error: whose session that would be is for the keyspace to say
  await users.get('42', { session: true })
  // @ts-expect-error: a misspelt option of a call
  await users.get('42', { maxStalenes: 0 })
  // @ts-expect-error: a misspelt event
  tide.on('hits', () => {})
}

export async function theSourceOfASchemaMayShowAnything(): Promise<void> {
  const load = (ids: readonly string[]): Map<string, unknown> => new Map(ids.map(id => [id, JSON.parse('{}')]))
  const users = tide.keyspace('users', { source: { load }, schema: User })
  same<typeof users, Keyspace<User>>(true)
}

export async function functionsGiveTheType(): Promise<void> {
  const load = async (ids: readonly string[]): Promise<Map<string, User>> =>
    new Map(ids.map(id => [id, { id: 1, name: id }]))
  same<Awaited<ReturnType<ReturnType<typeof open>['get']>>, User | undefined>(true)
  function open(): Keyspace<User> {
    return tide.keyspace('users', { source: { load } })
  }
  const lengths = tide.keyspace('lengths', { source: { load: async ids => ids.map(id => [id, id.length] as const) } })
  same<typeof lengths, Keyspace<number>>(true)
  // @ts-expect-error: the functions load something else
  tide.keyspace<string>('users', { source: { load } })
  const half: SourceFunctions<User> = { load }
  same<Parameters<NonNullable<typeof half.store>>[0], ReadonlyMap<string, User>>(true)
}

export async function withoutAnyOfThemTheValueIsUnknown(): Promise<void> {
  const rows = tide.keyspace('rows', { source })
  same<typeof rows, Keyspace>(true)
  const told = tide.keyspace<User>('told', { source })
  same<typeof told, Keyspace<User>>(true)
  const report = await tide.getOrSet('report', () => [1, 2, 3], { ttl: '1h', tags: ['reports'] })
  same<typeof report, number[]>(true)
}

export async function keysOfSeveralParts(): Promise<void> {
  const orders = tide.keyspace('orders', { source, schema: User, key: [String, Number] })
  same<typeof orders, Keyspace<User, [string, number]>>(true)
  await orders.get(['eu', 7])
  const numbered = tide.keyspace('numbered', { source, schema: User, key: Number })
  same<typeof numbered, Keyspace<User, number>>(true)
  await numbered.get(42)
  const told = tide.keyspace<User, readonly [bigint, string]>('told', { source })
  await told.delete([7n, 'eu'])
  // @ts-expect-error: the parts the other way round
  await orders.get([7, 'eu'])
  // @ts-expect-error: a part too few
  await orders.get(['eu'])
  // @ts-expect-error: another type than the key's
  await numbered.get('42')
  // @ts-expect-error: not what keys are made of
  tide.keyspace('wrong', { source, key: Boolean })
  // @ts-expect-error: not what keys are made of
  tide.keyspace('wrong', { source, key: 'id' })
  // @ts-expect-error: not what keys are made of
  tide.keyspace<User, Date>('wrong', { source })
}

export async function wrappedFunctionsKeepTheirTypes(): Promise<void> {
  const pages = tide.keyspace<string>('pages')
  const page = pages.wrap(async (id: number, language: string) => `${id} ${language}`, {
    key: (id, language) => `${id}:${language}`,
    ttl: '5m',
  })
  same<typeof page, (id: number, language: string) => Promise<string>>(true)
  // @ts-expect-error: without a key nobody knows what is the same call
  pages.wrap(async (id: number) => String(id), { ttl: '5m' })
  // @ts-expect-error: the function gives something else
  pages.wrap(async (id: number) => id, { key: String })
}

export async function wrongOptionsDoNotCompile(): Promise<void> {
  // @ts-expect-error: a misspelt option
  tide.keyspace('a', { source, tll: '10m' })
  // @ts-expect-error: a duration in words
  tide.keyspace('a', { source, ttl: '10 minutes' })
  // @ts-expect-error: a number without its unit
  tide.keyspace('a', { source, maxStaleness: 5 })
  // @ts-expect-error: through, or behind
  tide.keyspace('a', { source, write: 'back' })
  // @ts-expect-error: a member that writing behind does not have
  tide.keyspace('a', { source, write: { mode: 'behind', maxWait: '1s' } })
  tide.keyspace('a', { source, write: { mode: 'behind', maxDelay: '1s', retry: { attempts: Infinity } } })
  // @ts-expect-error: a source without load
  tide.keyspace('a', { source: { store: () => {} } })
  // @ts-expect-error: a database is not a table
  tide.keyspace('a', { source: sqlite('app.db') })
  // @ts-expect-error: another word
  tide.keyspace('a', { source, whenStale: 'error' })
  tide.keyspace('a', { source, session: true })
  tide.keyspace('a', { source, session: tide.session() })
  // @ts-expect-error: a word for a session
  tide.keyspace('a', { source, session: 'own' })
  // @ts-expect-error: another word
  tide.keyspace('a', { source, clone: 'deep' })
  // @ts-expect-error: a codec of another type
  tide.keyspace('a', { schema: User, codec: structuredCodec<string>() })
  // @ts-expect-error: an algorithm that there is none of
  tide.keyspace('a', { compress: { algorithm: 'lz4' } })
  // @ts-expect-error: what is not a schema
  tide.keyspace('a', { schema: { parse: () => 1 } })
  // @ts-expect-error: what no table has
  sqlite('app.db').table('users', { column: ['id'] })
  // @ts-expect-error: what has no file
  sqlite({ poll: '10ms' })
  // @ts-expect-error: a view has a key
  postgres('postgres://db.internal/shop').view({ sql: 'SELECT 1' })
  // @ts-expect-error: a size with a unit that there is none of
  await createTidemark({ near: { maxSize: '256 megabytes' } })
  // @ts-expect-error: a misspelt option
  await createTidemark({ nearby: { maxSize: '256mb' } })
  // @ts-expect-error: a tier is a URL
  await createTidemark({ tier: 6379 })
  // @ts-expect-error: tags are a list
  await tide.getOrSet('a', () => 1, { tags: 'reports' })
}
