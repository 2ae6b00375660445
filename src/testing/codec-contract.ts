// What the cache counts on of a codec, as tests of node:test: call `codecContract` in a test file of yours with a way to make
// your codec and values that it is for, and run that file with `node --test`.
// Not for: how fast it is, and how small its bytes are.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect, types } from 'node:util'
import type { Codec } from '../codec/codec.ts'
import { ValueCodec } from '../codec/value-codec.ts'

export interface CodecContractOptions {
  /** Values that the codec is not for: `encode` throws for them. */
  readonly refused?: readonly unknown[] | undefined
}

interface Subject<V> extends CodecContractOptions {
  readonly make: () => Codec<V>
  readonly values: readonly V[]
}

type CodecRules = Readonly<Record<string, (subject: Subject<unknown>) => void>>

/**
 * Registers one `node:test` test for each rule. `make` makes the codec, as each process does that uses it: what one of them wrote
 * another one reads. Of `values`, at least one, each comes back deeply and strictly equal.
 */
export function codecContract<V>(
  name: string,
  make: () => Codec<V>,
  values: readonly V[],
  options: CodecContractOptions = {},
): void {
  void describe(name, () => {
    for (const [sentence, rule] of Object.entries(rules)) {
      void test(sentence, () => {
        assert.ok(values.length > 0, 'there are values to test with')
        rule({ make, values, ...options })
      })
    }
  })
}

const rules: CodecRules = {
  'it has a name that records can keep, the same in each process': ({ make }) => {
    // Refuses the others, with what is allowed.
    void new ValueCodec({ codec: make() })
    assert.equal(make().name, make().name)
  },
  // Before all others: they write the same values.
  'a value is as it was after it was written': ({ make, values }) => {
    for (const value of values) {
      const before = seen(value)
      make().encode(value)
      assert.equal(seen(value), before)
    }
  },
  'what it writes is bytes, at once': ({ make, values }) => {
    for (const value of values) {
      const bytes: unknown = make().encode(value)
      assert.ok(bytes instanceof Uint8Array, `encode gave ${inspect(bytes)} for ${inspect(value)}`)
    }
  },
  'what it writes another process reads, as it was': ({ make, values }) => {
    for (const value of values) assert.deepStrictEqual(make().decode(copyOf(make().encode(value))), value)
  },
  'it reads bytes that lie anywhere in memory, and are no Buffer': ({ make, values }) => {
    for (const value of values) {
      const bytes = make().encode(value)
      const memory = new Uint8Array(bytes.length + 2).fill(0x7f)
      memory.set(bytes, 1)
      const inside = memory.subarray(1, 1 + bytes.length)
      assert.deepStrictEqual(make().decode(inside), value)
    }
  },
  'what it wrote one after another is read in any order': ({ make, values }) => {
    const writer = make()
    // Each of them twice: what comes again is often written otherwise than at first.
    const written = [...values, ...values].map(value => [value, copyOf(writer.encode(value))] as const)
    const reader = make()
    for (const [value, bytes] of written.toReversed()) assert.deepStrictEqual(reader.decode(bytes), value)
  },
  'what it read shares no memory with the bytes': ({ make, values }) => {
    for (const value of values) {
      const bytes = copyOf(make().encode(value))
      const read = make().decode(bytes)
      bytes.fill(0xff)
      assert.deepStrictEqual(read, value)
      bytes.fill(0)
      assert.deepStrictEqual(read, value)
    }
  },
  'what it reads twice is two objects': ({ make, values }) => {
    const reader = make()
    for (const value of values) {
      const bytes = copyOf(make().encode(value))
      const [first, second] = [reader.decode(bytes), reader.decode(bytes)]
      if (isObject(first)) assert.notEqual(first, second, 'who changes the one would change the other')
    }
  },
  'undefined is refused, or comes back as undefined': ({ make }) => {
    const codec = make()
    let bytes: Uint8Array
    try {
      bytes = codec.encode(undefined)
    } catch {
      return
    }
    assert.equal(codec.decode(copyOf(bytes)), undefined, 'it would become a value that nobody wrote')
  },
  'what it is not for it refuses, and goes on with the next value': ({ make, values, refused = [] }) => {
    const codec = make()
    for (const value of refused) {
      assert.throws(() => codec.encode(value), `it writes ${inspect(value)}`)
      assert.deepStrictEqual(make().decode(copyOf(codec.encode(values[0]))), values[0])
    }
  },
}

function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !types.isProxy(value)
}

function seen(value: unknown): string {
  return inspect(value, { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity, showHidden: true })
}
