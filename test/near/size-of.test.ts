// The estimate of what values take: held against what the heap grows by, and against how much work it may be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { median } from '../../bench/table.ts'
import { sizeOf } from '../../src/near/size-of.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

function usedBytes(): number {
  for (let i = 0; i < 3; i++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const list = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i))
/** As it comes from a socket or a file: strings in one piece. */
const parsed = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const shapes: Readonly<Record<string, (i: number) => unknown>> = {
  'a row': i => ({
    id: i,
    name: `name ${i}`,
    email: `user${i}@example.org`,
    at: new Date(i),
    score: i / 3,
    active: true,
  }),
  'nested objects': i => parsed({ id: i, tags: [`a${i}`, `b${i}`], address: { street: `Street ${i}`, city: 'City' } }),
  'an array of whole numbers': i => list(100, j => i + j),
  'an array of fractions': i => list(100, j => i + j / 3),
  'an array of strings': i => parsed(list(200, j => `string number ${i} ${j}`)),
  'an array of rows': i => parsed(list(100, j => ({ id: i + j, name: `the row ${i} of ${j}` }))),
  'a map': i => new Map(parsed(list(50, j => [`key ${i} ${j}`, j])) as [string, number][]),
  'a set': i => new Set(parsed(list(50, j => `key ${i} ${j}`)) as string[]),
  'a buffer': i => Buffer.alloc(1_000, i),
  'a typed array': i => new Float64Array(100).fill(i),
  'a large number': i => ({ large: BigInt(i + 1) << 400n }),
  'an object of many fields': i => parsed(Object.fromEntries(list(200, j => [`field ${i} of ${j}`, j]))),
  'text beyond latin': i => parsed(`${'ein Text mit € und 漢字 '.repeat(10)}${i}`),
}

/**
 * What the heap grows by for each value, in bytes: the median of several rounds, since a round in which the heap gives back
 * what the test runner, or the compiler, had left there shows too little.
 */
function grownBytes(kept: unknown[], rounds: number, make: (i: number) => unknown): number {
  const count = kept.length / rounds
  const grown = list(rounds, round => {
    const before = usedBytes()
    for (let i = round * count; i < (round + 1) * count; i++) kept[i] = make(i)
    return (usedBytes() - before) / count
  })
  return median(grown)
}

for (const [name, make] of Object.entries(shapes)) {
  test(`the estimate of ${name} is near what the heap grows by`, () => {
    const kept = list<unknown>(5_000, () => undefined)
    const real = grownBytes(kept, 5, make)
    const estimated = kept.reduce<number>((sum, value) => sum + sizeOf(value), 0) / kept.length
    assert.ok(estimated > real * 0.7 && estimated < real * 1.4, `${estimated}, the heap grew by ${real}`)
  })
}

test('what a value holds twice, or what holds itself, counts once', () => {
  const part = { text: 'x'.repeat(1_000) }
  const once = sizeOf({ a: part, b: {} })
  assert.ok(sizeOf({ a: part, b: part }) < once + 100)
  const circle: { self?: unknown; text: string } = { text: 'x'.repeat(1_000) }
  circle.self = [circle, { circle }]
  assert.ok(sizeOf(circle) < 1_400)
})

test('of a long list few members are read, and they stand for all', () => {
  let reads = 0
  const rows = list(1_000_000, () => ({ text: 'x'.repeat(84) }))
  const watched = new Proxy(rows, {
    get: (target, name, receiver) => {
      reads++
      return Reflect.get(target, name, receiver) as unknown
    },
  })
  const bytes = sizeOf(watched)
  assert.ok(reads < 100, `${reads} reads`)
  assert.ok(bytes > 120e6 && bytes < 160e6, `${bytes} bytes`)
})

test('deep and wide values cost a bounded number of looks', () => {
  let looks = 0
  const deep = (): object => ({
    get next() {
      looks++
      return list(100, deep)
    },
  })
  assert.ok(sizeOf(deep()) > 0)
  assert.ok(looks < 2_500, `${looks} looks`)
})

test('any value has a size that is a whole number', () => {
  fc.assert(
    fc.property(
      fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withNullPrototype: true,
        withSparseArray: true,
      }),
      value => {
        const bytes = sizeOf(value)
        return Number.isInteger(bytes) && bytes >= 0
      },
    ),
    { numRuns: 500 },
  )
})
