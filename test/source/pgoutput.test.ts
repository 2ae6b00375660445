// The decoder of pgoutput by its bytes, and what transactions become of it: widened ids, resets, keys before and after. The
// same against a real server: postgres-feed.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FeedItem } from '../../src/source/change-feed.ts'
import type { KeyspaceMapping } from '../../src/source/postgres-mapping.ts'
import { decodeFrame, decodeMessage, encodeStatus } from '../../src/source/postgres-pgoutput.ts'
import { PostgresTransactions } from '../../src/source/postgres-transactions.ts'

type Value = string | null | undefined

const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255])
const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n >>> 0)
  return bytes
}
const u64 = (n: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(n)
  return bytes
}
const letter = (text: string): Buffer => Buffer.from(text, 'latin1')
const string = (text: string): Buffer => Buffer.from(`${text}\0`)

function begin(xid: number): Buffer {
  return Buffer.concat([letter('B'), u64(900n), u64(0n), u32(xid)])
}

function commit(end: bigint): Buffer {
  return Buffer.concat([letter('C'), Buffer.from([0]), u64(end - 8n), u64(end), u64(0n)])
}

function tuple(values: readonly Value[]): Buffer {
  const cells = values.map(value => {
    if (value === null) return letter('n')
    if (value === undefined) return letter('u')
    return Buffer.concat([letter('t'), u32(Buffer.byteLength(value)), Buffer.from(value)])
  })
  return Buffer.concat([u16(values.length), ...cells])
}

function relation(id: number, columns: readonly string[], identity = 'd'): Buffer {
  const described = columns.map(name => {
    const key = name.startsWith('*')
    return Buffer.concat([Buffer.from([key ? 1 : 0]), string(name.replace('*', '')), u32(20), u32(-1)])
  })
  return Buffer.concat([
    letter('R'),
    u32(id),
    string('public'),
    string('cities'),
    letter(identity),
    u16(columns.length),
    ...described,
  ])
}

const insert = (id: number, row: readonly Value[]): Buffer =>
  Buffer.concat([letter('I'), u32(id), letter('N'), tuple(row)])
const update = (id: number, row: readonly Value[], old?: readonly Value[], kind = 'K'): Buffer =>
  Buffer.concat([
    letter('U'),
    u32(id),
    ...(old === undefined ? [] : [letter(kind), tuple(old)]),
    letter('N'),
    tuple(row),
  ])
const drop = (id: number, old: readonly Value[], kind = 'K'): Buffer =>
  Buffer.concat([letter('D'), u32(id), letter(kind), tuple(old)])
const truncate = (...ids: number[]): Buffer =>
  Buffer.concat([letter('T'), u32(ids.length), Buffer.from([0]), ...ids.map(u32)])

function mapping(keyspace: string, relation: number, ...keyColumns: string[]): KeyspaceMapping {
  const key = keyColumns.map(name => ({ name, keyType: 'text', scale: 0 }))
  return {
    keyspace,
    key,
    dependencies: [{ relation, table: 'public.cities', keyColumns }],
  } as unknown as KeyspaceMapping
}

const cities = [mapping('cities', 5, 'id')]

function run(messages: readonly Buffer[], { mappings = cities, xid = 1000n, keysMax = 10 } = {}): FeedItem[] {
  const transactions = new PostgresTransactions(mappings, xid, keysMax)
  return messages.flatMap((message, at) => transactions.add(message, BigInt(100 + at)) ?? [])
}

function told(items: readonly FeedItem[]): (string | [string, bigint][])[] {
  return items.map(item => (item.kind === 'reset' ? item.reason : item.events.map(event => [event.key, event.change])))
}

const shape = relation(5, ['*id', 'name'])

test('frames are data with their position, and signs of life', () => {
  const data = decodeFrame(Buffer.concat([letter('w'), u64(7n), u64(9n), u64(0n), letter('Y!')]))
  assert.ok(data.kind === 'data')
  assert.deepEqual([data.start, data.end, data.message.toString()], [7n, 9n, 'Y!'])
  const alive = decodeFrame(Buffer.concat([letter('k'), u64(2n ** 40n), u64(0n), Buffer.from([1])]))
  assert.deepEqual(alive, { kind: 'alive', end: 2n ** 40n, reply: true })
  assert.throws(() => decodeFrame(letter('?')))
})

test('a status says what was received, what is confirmed, and when since 2000', () => {
  const bytes = encodeStatus(5n, 3n, Date.UTC(2000, 0, 1, 0, 0, 1), true)
  assert.equal(bytes.toString('latin1', 0, 1), 'r')
  const fields = [1, 9, 17, 25].map(at => bytes.readBigUInt64BE(at))
  assert.deepEqual([...fields, bytes.length, bytes[33]], [5n, 3n, 3n, 1_000_000n, 34, 1])
})

test('of a tuple the wanted columns become text: NULL, unchanged, and more than one byte a letter', () => {
  const wanted = [true, false, true, true]
  const message = decodeMessage(insert(5, ['é:😀', 'no', null, undefined]), () => wanted)
  assert.ok(message.kind === 'change')
  assert.deepEqual(message.after, ['é:😀', undefined, null, undefined])
  assert.deepEqual(decodeMessage(insert(6, ['x']), () => undefined), { kind: 'change', relation: 6, before: undefined, after: undefined }) // prettier-ignore
  assert.deepEqual(
    decodeMessage(letter('M....'), () => undefined),
    { kind: 'other' },
  )
})

test('a transaction is its keys, each with the position of its last change', () => {
  const items = run([shape, begin(1001), insert(5, ['1', 'A']), insert(5, ['2', 'A']), update(5, ['1', 'B']), drop(5, ['3', null]), commit(500n)]) // prettier-ignore
  assert.deepEqual(told(items), [[['cities:1', 104n], ['cities:2', 103n], ['cities:3', 105n]]]) // prettier-ignore
  assert.deepEqual([items[0]!.xid, items[0]!.lsn], [1001n, 500n])
})

test('a changed key is both keys, by replica identity and by the full row', () => {
  for (const kind of ['K', 'O']) {
    const items = run([shape, begin(1001), update(5, ['2', 'A'], ['1', kind === 'O' ? 'A' : null], kind), commit(500n)])
    assert.deepEqual(told(items), [[['cities:1', 102n], ['cities:2', 102n]]]) // prettier-ignore
  }
})

test('a key that is kept elsewhere and unchanged is taken from the row before, and without that is a reset', () => {
  const full = relation(5, ['*id', '*name'], 'f')
  const items = run([full, begin(1001), update(5, [undefined, 'B'], ['long', 'A'], 'O'), commit(500n)])
  assert.deepEqual(told(items), [[['cities:long', 102n]]])
  assert.deepEqual(told(run([shape, begin(1001), update(5, [undefined, 'B']), commit(500n)])), [
    'a key was told in part',
  ])
})

test('rows of tables that no keyspace depends on, and rows whose key is NULL, are no keys', () => {
  const mappings = [...cities, mapping('names', 5, 'name')]
  const full = relation(5, ['*id', '*name'], 'f')
  const items = run([relation(6, ['*id']), full, begin(1001), insert(6, ['1']), insert(5, ['1', null]), commit(500n)], {
    mappings,
  })
  assert.deepEqual(told(items), [[['cities:1', 104n]]])
})

test('TRUNCATE, another shape, a key outside the replica identity and too many keys are resets of their transaction alone', () => {
  const after = [begin(1002), insert(5, ['9', 'A']), commit(600n)]
  const many = Array.from({ length: 11 }, (_, i) => insert(5, [String(i), 'A']))
  for (const [messages, reason] of [
    [[insert(5, ['1', 'A']), truncate(6, 5), insert(5, ['2', 'A'])], /truncated/],
    [[insert(5, ['1', 'A']), relation(5, ['*id', 'title']), insert(5, ['2', 'A'])], /altered/],
    [many, /more than 10 keys/],
  ] as const) {
    const items = run([shape, begin(1001), ...messages, commit(500n), ...after])
    assert.match(told(items)[0] as string, reason)
    assert.deepEqual(told(items)[1]!.length, 1)
  }
  const untold = run([relation(5, ['id', '*name']), begin(1001), insert(5, ['1', 'A']), commit(500n)])
  assert.match(told(untold)[0] as string, /without id/)
  // A relation told again as it was is nothing new.
  assert.deepEqual(told(run([shape, begin(1001), shape, insert(5, ['1', 'A']), commit(500n)])).length, 1)
  assert.deepEqual(told(run([shape, begin(1001), truncate(6), commit(500n)])), [[]])
})

test('transaction ids are widened to the nearest ones of 64 bits, across both ends of the 32', () => {
  const xids = (xid: bigint, ...low: number[]): bigint[] =>
    run(low.flatMap((id, i) => [begin(id), commit(BigInt(500 + i))]), { xid }).map(item => item.xid) // prettier-ignore
  const wrap = 2n ** 32n
  assert.deepEqual(xids(wrap - 2n, 0xffff_fffe, 3, 0xffff_ffff, 4), [wrap - 2n, wrap + 3n, wrap - 1n, wrap + 4n])
  assert.deepEqual(xids(5n * wrap + 10n, 7, 0xffff_fff0), [5n * wrap + 7n, 5n * wrap - 16n])
})
