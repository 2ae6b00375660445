// What a reader without a lock may meet, brought about on purpose: a writer comes in at a chosen instant of a lookup. Two
// views of one memory in one thread; the reader's key, or its fence, lets the writer in.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Shard } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { createStore, insidesOf, KeyedStore, MiB } from './keyed-store.ts'

type When = 'is about to compare' | 'has compared'

interface Scene {
  readonly writer: KeyedStore
  readonly reader: KeyedStore
}

function createScene(memoryBytes = MiB): Scene {
  const writer = createStore(memoryBytes, 2)
  return { writer, reader: new KeyedStore(Store.attach(writer.store.shared, 1)) }
}

/** A key that lets `enter` run when its bytes are first asked for: the record's header has been read by then. */
function watched(key: string, enter: () => unknown): Uint8Array {
  let entered = false
  return new Proxy(new Uint8Array(Buffer.from(key)), {
    get(bytes, name): unknown {
      if (name === 'buffer' && !entered) {
        entered = true
        enter()
      }
      return Reflect.get(bytes, name)
    },
  })
}

/** Lets `enter` run at the reader's second fence: it has read all that it wants, and is about to look at the version again. */
function enterAtSecondFence({ reader }: Scene, enter: () => unknown): void {
  const { memory } = insidesOf(reader.store)
  let fences = 0
  memory.loadFence = () => {
    if (++fences === 2) enter()
  }
}

/** The value that the reader gets while `enter` runs in the middle of its look-up of the key. */
function readDuring(scene: Scene, key: string, when: When, enter: () => unknown): string | undefined {
  const { reader } = scene
  let entered = 0
  const count = (): void => {
    entered++
    enter()
  }
  const hash = reader.hash(key)
  const bytes = when === 'is about to compare' ? watched(key, count) : Buffer.from(key)
  if (when === 'has compared') enterAtSecondFence(scene, count)
  const found = reader.store.get(bytes, 0, key.length, hash, reader.wallMs)
  assert.equal(entered, 1, 'the writer came in')
  return found?.toString()
}

function end({ writer }: Scene): void {
  writer.store.check()
}

for (const when of ['is about to compare', 'has compared'] as const) {
  describe(`a reader that ${when} a key`, () => {
    test('finds the new place of a record whose old place was written over', () => {
      const scene = createScene()
      const { writer } = scene
      writer.set('key', 'the first value')
      const found = readDuring(scene, 'key', when, () => {
        writer.set('key', 'another value, of another length')
        writer.flood('over', 20_000, 100)
        writer.set('key', 'the last value, of yet another length')
      })
      assert.equal(found, 'the last value, of yet another length')
      end(scene)
    })

    test('does not give an old value for a record that was overwritten in place', () => {
      const scene = createScene()
      scene.writer.set('key', 'one')
      assert.equal(
        readDuring(scene, 'key', when, () => scene.writer.set('key', 'two')),
        'two',
      )
      end(scene)
    })

    test('does not find what was removed, expired by a new expiry or cleared', () => {
      const scene = createScene()
      const { writer } = scene
      const changes: (() => unknown)[] = [
        () => writer.remove('key'),
        () => writer.setExpiry('key', writer.wallMs),
        () => writer.store.clear(),
        () => (writer.store.clear(), writer.flood('over', 9_000, 100)),
      ]
      for (const change of changes) {
        writer.set('key', 'value', { expiresAtMs: writer.wallMs + 100 })
        assert.equal(readDuring(scene, 'key', when, change), undefined)
        end(scene)
      }
    })

    test('finds a record that reclaiming moves, with its value', () => {
      const scene = createScene()
      const { writer } = scene
      writer.set('key', 'value')
      writer.has('key')
      assert.equal(
        readDuring(scene, 'key', when, () => writer.flood('over', 9_000, 100)),
        'value',
      )
      end(scene)
    })

    test('finds a record that makes way for a large one', () => {
      const scene = createScene()
      const { writer } = scene
      writer.flood('before', 3_000, 200)
      writer.set('key', 'value')
      const found = readDuring(scene, 'key', when, () => {
        for (let i = 0; i < 40; i++) {
          writer.has('key')
          writer.set(`large${i}`, Buffer.alloc(writer.store.valueBytesMax))
        }
      })
      assert.equal(found, 'value')
      end(scene)
    })
  })
}

describe('a reader in the middle of a lookup', () => {
  test('finds a record whose bucket is split between its choosing the bucket and its looking into it', () => {
    let moved = 0
    for (let i = 0; i < 50; i++) {
      const scene = createScene(4 * MiB)
      const { writer, reader } = scene
      const key = `key${i}`
      writer.set(key, 'value')
      const { index } = insidesOf(reader.store)
      const shard = index.shardOf(writer.hash(key))
      const before = index.bucketsOf(shard)
      const bucketsOf = index.bucketsOf.bind(index)
      let entered = false
      index.bucketsSeen = (of: number): number => {
        const buckets = bucketsOf(of)
        if (entered) return buckets
        entered = true
        writer.flood('grow', 2_000, 10)
        return buckets
      }
      assert.equal(reader.text(key), 'value')
      if (index.bucketOf(writer.hash(key), before) !== index.bucketOf(writer.hash(key), bucketsOf(shard))) moved++
      end(scene)
    }
    assert.ok(moved > 10, `in ${moved} of 50 cases the key's bucket became another one`)
  })

  test('is told by confirm of a change that reached the record through the bucket it was moved to', () => {
    for (let i = 0; i < 50; i++) {
      const scene = createScene(4 * MiB)
      const { writer, reader } = scene
      writer.set(`key${i}`, 'one')
      assert.ok(reader.has(`key${i}`))
      // Splits the key's bucket, and touches it in no other way.
      const { index, queues, control } = insidesOf(writer.store)
      const shard = index.shardOf(writer.hash(`key${i}`))
      writer.store.withLock(writer.hash(`key${i}`), () => {
        const records = queues.shardAt(shard) + Shard.records
        const before = control[records]!
        control[records] = 1e6
        for (let grown = 0; grown < 200; grown++) index.grow(shard)
        control[records] = before
      })
      writer.set(`key${i}`, 'two')
      assert.equal(reader.store.confirm(), false, `key${i}`)
      end(scene)
    }
  })

  test('that has a copy of half an old and half a new value is told so by confirm', () => {
    const { writer, reader } = createScene()
    writer.set('key', 'a'.repeat(100))
    assert.ok(reader.has('key'))
    const out = Buffer.alloc(100)
    writer.set('key', 'b'.repeat(100))
    reader.store.copyValue(out, 0)
    assert.equal(reader.store.confirm(), false)
  })
})
