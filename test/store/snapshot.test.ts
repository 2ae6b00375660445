// A snapshot's file: what goes in comes out, whatever it is, and a file that is not exactly what was written is refused and
// leaves the store empty.
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { RecordType } from '../../src/store/layout.ts'
import { HEADER_BYTES, writeHeader } from '../../src/store/snapshot-format.ts'
import type { RecordVisitor } from '../../src/store/store-records.ts'
import { createStore, type KeyedStore, KiB, MiB } from './keyed-store.ts'
import { changed, contentOf, crafted, load, sampleStore, setHash, snapshotFile, write } from './snapshot-scene.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength, size: 'max' }).map(array => Buffer.from(array))

const entry = fc.record({
  key: fc.oneof(
    bytes(30),
    fc.constantFrom(0, 65_535).map(length => Buffer.alloc(length, 'k')),
  ),
  value: fc.oneof(
    { weight: 20, arbitrary: bytes(200) },
    { weight: 1, arbitrary: fc.constantFrom(4095, 4096, 4097, 9000, 60_000).map(length => Buffer.alloc(length, 'v')) },
  ),
  hash: fc.boolean(),
  ttlMs: fc.option(fc.integer({ min: -1000, max: 100_000 })),
  reads: fc.integer({ min: 0, max: 4 }),
})

describe('a snapshot', () => {
  test('brings back any content: bytes, types, times, reads and queues', async t => {
    const file = snapshotFile(t)
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 40 }), async entries => {
        const before = createStore(4 * MiB, 2)
        for (const { key, value, hash, ttlMs, reads } of entries) {
          const expiresAtMs = ttlMs === null ? 0 : before.wallMs + ttlMs
          if (hash) setHash(before, key, [['field', value]])
          else before.set(key, value, { expiresAtMs })
          for (let i = 0; i < reads; i++) before.get(key)
        }
        const content = contentOf(before)
        const written = write(before, file)
        const after = createStore(4 * MiB, 3, 99)
        const outcome = await load(after, file)
        assert.equal(outcome.kind, 'loaded')
        assert.deepEqual(contentOf(after), content)
        assert.equal(written.records, content.size)
      }),
      { numRuns: 60 },
    )
  })

  test('spans many blocks, and values larger than a block or a segment', async t => {
    const file = snapshotFile(t)
    const before = createStore(64 * MiB)
    for (let i = 0; i < 20_000; i++) before.set(`key:${i}`, `${i}:`.padEnd(i % 500, 'x'))
    for (const size of [100 * KiB, MiB - 1, MiB, 3 * MiB]) before.set(`large:${size}`, Buffer.alloc(size, String(size)))
    const written = write(before, file)
    assert.ok(written.bytes > 8 * MiB)
    const after = createStore(64 * MiB, 1, 8)
    assert.deepEqual(await load(after, file), {
      kind: 'loaded',
      createdWallMs: before.wallMs,
      bytes: written.bytes,
      stored: 20_004,
      expired: 0,
      unaccepted: 0,
      tooLarge: 0,
    })
    assert.deepEqual(contentOf(after), contentOf(before))
  })

  test('of an empty store is a file like any other', async t => {
    const file = snapshotFile(t)
    assert.equal(write(createStore(), file).records, 0)
    const outcome = await load(createStore(), file)
    assert.equal(outcome.kind === 'loaded' && outcome.stored, 0)
  })

  test('has neither rows nor what the protocol keeps beside them', async t => {
    const file = snapshotFile(t)
    const before = createStore()
    const coherent = { lane: 1, keyspace: 0, generation: 5, stamp: Buffer.from('stamp') }
    before.set('coherent:text', 'no row, by its type', { coherent })
    for (const type of [RecordType.row, RecordType.absentRow, RecordType.lease, RecordType.fence]) {
      before.set(`coherent:${type}`, '{}', { type, coherent })
    }
    before.set('plain', 'value')
    assert.equal(write(before, file).records, 1)
    assert.ok(!fs.readFileSync(file).includes('coherent'))
    const after = createStore()
    await load(after, file)
    assert.equal(after.text('plain'), 'value')
  })

  test('puts what was in the main queue into the main queue', async t => {
    const file = snapshotFile(t)
    const before = createStore()
    before.set('kept', 'value')
    before.get('kept')
    before.flood('passing', 20_000, 50)
    assert.ok(contentOf(before).get('kept')?.main)
    write(before, file)
    const after = createStore(8 * MiB)
    await load(after, file)
    const mains = [...contentOf(after)].filter(([, { main }]) => main)
    assert.deepEqual(
      mains.map(([key]) => key),
      ['kept'],
    )
  })

  test('leaves out what has expired, when it is written and when it is loaded', async t => {
    const file = snapshotFile(t)
    const before = createStore()
    before.set('gone', 'x', { expiresAtMs: before.wallMs })
    before.set('short', 'x', { expiresAtMs: before.wallMs + 10 })
    before.set('long', 'x', { expiresAtMs: before.wallMs + 1000 })
    assert.equal(write(before, file).records, 2)
    const after = createStore()
    after.wallMs = before.wallMs + 10
    const outcome = await load(after, file)
    assert.ok(outcome.kind === 'loaded' && outcome.stored === 1 && outcome.expired === 1)
    assert.equal(contentOf(after).get('long')?.expiresAtMs, before.wallMs + 1000)
  })

  test('leaves out keys that are not accepted any more', async t => {
    const file = snapshotFile(t)
    write(sampleStore(), file)
    const after = createStore()
    const accepts = (all: Buffer, start: number, end: number): boolean => all.toString('utf8', start, end) !== 'user'
    const outcome = await load(after, file, { accepts })
    assert.ok(outcome.kind === 'loaded' && outcome.unaccepted === 1 && outcome.stored === 3)
    assert.ok(!after.has('user') && after.has('greeting'))
  })

  test('larger than the memory is loaded as far as it fits, and what was read stays', async t => {
    const file = snapshotFile(t)
    const before = createStore(16 * MiB)
    const value = Buffer.alloc(1000, 'v')
    for (let i = 0; i < 4000; i++) before.set(`key:${i}`, value)
    for (let i = 0; i < 4000; i += 20) for (let read = 0; read < 3; read++) before.get(`key:${i}`)
    before.set('too large for the next', Buffer.alloc(200 * KiB))
    write(before, file)
    const after = createStore(MiB)
    const outcome = await load(after, file)
    assert.ok(outcome.kind === 'loaded' && outcome.stored === 4000 && outcome.tooLarge === 1)
    let [read, unread] = [0, 0]
    for (let i = 0; i < 4000; i++) {
      if (!after.hasUnread(`key:${i}`)) continue
      if (i % 20 === 0) read++
      else unread++
    }
    assert.ok(read > 190, `${read} of 200 that were read`)
    assert.ok(unread > 300 && unread < 900, `${unread} of 3800 that were not`)
  })

  test('tells how far it is while it is loaded, and stops when it is told to', async t => {
    const file = snapshotFile(t)
    const before = createStore(32 * MiB)
    for (let i = 0; i < 5000; i++) before.set(`key:${i}`, Buffer.alloc(1000))
    write(before, file)
    const heard: number[] = []
    const progress = (records: number, total: number): void => {
      assert.equal(total, 5000)
      heard.push(records)
    }
    await load(createStore(32 * MiB), file, { progress })
    assert.ok(heard.length >= 4, String(heard))
    assert.deepEqual(
      heard,
      [...new Set(heard)].sort((a, b) => a - b),
    )
    assert.equal(heard.at(-1), 5000)
    const controller = new AbortController()
    const stopped = createStore(32 * MiB)
    const stop = (): void => controller.abort(new Error('enough'))
    await assert.rejects(load(stopped, file, { progress: stop, signal: controller.signal }), /enough/)
    assert.equal(stopped.store.size(), 0)
  })
})

describe('a file is refused, and the store empty', () => {
  test('when any one byte is another', async t => {
    const file = snapshotFile(t)
    write(sampleStore(), file)
    const good = fs.readFileSync(file)
    const keyed = createStore()
    for (let at = 0; at < good.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bad = changed(file, all => {
          all[at]! ^= flip
          return all
        })
        assert.equal((await load(keyed, bad)).kind, 'refused', `byte ${at} ^ ${flip}`)
      }
    }
    assert.equal((await load(keyed, file)).kind, 'loaded')
  })

  test('wherever it is cut off, and when something is behind its end', async t => {
    const file = snapshotFile(t)
    write(sampleStore(), file)
    const good = fs.readFileSync(file)
    for (let length = 0; length < good.length; length++) {
      const outcome = await load(
        createStore(),
        changed(file, all => all.subarray(0, length)),
      )
      assert.equal(outcome.kind, 'refused', `${length} bytes`)
    }
    const longer = await load(
      createStore(),
      changed(file, all => Buffer.concat([all, Buffer.alloc(1)])),
    )
    assert.deepEqual(longer, { kind: 'refused', reason: 'goes on behind its end' })
    const twice = await load(
      createStore(),
      changed(file, all => Buffer.concat([all, all])),
    )
    assert.equal(twice.kind, 'refused')
  })

  test('when a block is missing, repeated, in another place, or of another snapshot', async t => {
    const file = snapshotFile(t)
    const keyed = createStore(32 * MiB)
    for (let i = 0; i < 3000; i++) keyed.set(`key:${i}`, Buffer.alloc(1000, String(i)))
    write(keyed, file)
    const good = fs.readFileSync(file)
    const places = [HEADER_BYTES]
    while (places.at(-1)! < good.length) places.push(places.at(-1)! + 16 + good.readUInt32LE(places.at(-1)! + 4))
    assert.ok(places.length > 4, 'several blocks')
    const block = (i: number): Buffer => good.subarray(places[i], places[i + 1])
    const rest = good.subarray(places[2])
    const header = good.subarray(0, HEADER_BYTES)
    keyed.wallMs++
    const other = `${file}.other`
    write(keyed, other)
    for (const parts of [
      [header, block(0), rest],
      [header, block(0), block(0), block(1), rest],
      [header, block(1), block(0), rest],
      [fs.readFileSync(other).subarray(0, HEADER_BYTES), block(0), block(1), rest],
    ]) {
      const outcome = await load(
        createStore(32 * MiB),
        changed(file, () => Buffer.concat(parts)),
      )
      assert.equal(outcome.kind, 'refused')
    }
    const whole = await load(
      createStore(32 * MiB),
      changed(file, () => Buffer.concat([header, block(0), block(1), rest])),
    )
    assert.equal(whole.kind, 'loaded')
  })

  test('when it is something else, and says so', async t => {
    const file = snapshotFile(t)
    const reasonOf = async (content: string | Buffer): Promise<string> => {
      fs.writeFileSync(file, content)
      const outcome = await load(createStore(), file)
      assert.ok(outcome.kind === 'refused')
      return outcome.reason
    }
    assert.equal(await reasonOf('REDIS0009 and so on, for long enough to hold a header'), 'is no snapshot of Tidemark')
    assert.equal(await reasonOf(''), 'is cut off')
    assert.equal(await reasonOf('TIDESNAP'), 'is cut off')
    assert.equal(await reasonOf('SQLite'), 'is no snapshot of Tidemark')
    write(createStore(), file)
    const newer = fs.readFileSync(file)
    newer.writeUInt32LE(2, 8)
    newer.writeUInt32LE(crc32(newer.subarray(0, 36)), 36)
    assert.equal(await reasonOf(newer), 'has format 2, and this version reads format 1')
    fs.rmSync(file)
    assert.deepEqual(await load(createStore(), file), { kind: 'absent' })
  })

  test('when its checksums are right and its records are not', async t => {
    const file = snapshotFile(t)
    const good = Buffer.from('\x01\0\x01\0\x02\0\0\0kvv', 'latin1')
    const twoGood = Buffer.concat([good, good])
    const withByte = (at: number, value: number): Buffer => {
      const bad = Buffer.from(good)
      bad[at] = value
      return bad
    }
    assert.equal((await load(createStore(), crafted(file, good, 1))).kind, 'loaded')
    const cases: [string, Buffer, number][] = [
      ['fewer records than the frame says', good, 2],
      ['more records than the frame says', twoGood, 1],
      ['a byte behind the last record', Buffer.concat([good, Buffer.alloc(1)]), 1],
      ['a record cut off in its value', good.subarray(0, -1), 1],
      ['a record cut off in its head', good.subarray(0, 7), 1],
      ['a record of a type that has no place here', withByte(2, RecordType.row), 1],
      ['a record with a bit that means nothing', withByte(3, 16), 1],
      ['a time that is none', Buffer.from('\0\0\x01\x08\0\0\0\0\0\0\0\0\0\0\xf8\x7f', 'latin1'), 1],
    ]
    for (const [name, records, count] of cases) {
      const outcome = await load(createStore(), crafted(file, records, count))
      assert.deepEqual(outcome, { kind: 'refused', reason: 'is damaged at byte 40' }, name)
    }
  })

  test('when its header was never filled in, or counts other records', async t => {
    const file = snapshotFile(t)
    write(sampleStore(), file)
    const withCount = (records: number): string =>
      changed(file, all => {
        writeHeader(all, { createdWallMs: 1_000_000, records })
        return all
      })
    const reasons: [number, string][] = [
      [NaN, 'was not written to its end'],
      [5, 'is not complete'],
    ]
    for (const [records, reason] of reasons) {
      assert.deepEqual(await load(createStore(), withCount(records)), { kind: 'refused', reason })
    }
    assert.equal((await load(createStore(), withCount(4))).kind, 'loaded')
  })

  test('when its checksums are right and its hashes are not', async t => {
    const file = snapshotFile(t)
    for (const value of ['', 'abc', '\x01\0\0\0\xff\0\0\0\0\0\0\0', '\x02\0\0\0\x01\0\0\0\0\0\0\0f', '\0\0\0\0']) {
      const keyed = createStore()
      keyed.set('good', 'value')
      keyed.set('bad', Buffer.from(value, 'latin1'), { type: RecordType.hash })
      write(keyed, file)
      assert.match(JSON.stringify(await load(createStore(), file)), /refused.*damaged/, JSON.stringify(value))
    }
  })
})

describe('a large value that is written while it is copied', () => {
  const first = Buffer.alloc(50_000, 'a')
  const second = Buffer.alloc(50_000, 'b')

  /** The values that were added and not taken back. */
  function visit(keyed: KeyedStore, meanwhile: (time: number) => void): string[] {
    const added: string[] = []
    let times = 0
    const visitor: RecordVisitor = {
      add: ({ bytes, valueStart, valueEnd }) => {
        added.push(bytes.toString('latin1', valueStart, valueEnd))
        meanwhile(++times)
      },
      undo: () => void added.pop(),
    }
    let cursor = 0
    do cursor = keyed.store.visitRecords(cursor, keyed.wallMs, visitor)
    while (cursor !== 0)
    keyed.store.check()
    return added
  }

  test('is copied again', () => {
    const keyed = createStore()
    keyed.set('large', first)
    const added = visit(keyed, time => {
      if (time === 1) keyed.set('large', second)
    })
    assert.deepEqual(added, [second.toString()])
  })

  test('is copied under the lock when that goes on', () => {
    const keyed = createStore()
    keyed.set('large', first)
    let times = 0
    const added = visit(keyed, time => {
      times = time
      if (time < 9) keyed.set('large', time % 2 === 0 ? first : second)
      // Nobody could write now: this thread holds the lock, and would be told so.
      else assert.throws(() => keyed.set('large', first), /lock that it holds itself/)
    })
    assert.equal(times, 9)
    assert.deepEqual(added, [first.toString()])
  })

  test('is left out when it was removed', () => {
    const keyed = createStore()
    keyed.set('large', first)
    assert.deepEqual(
      visit(keyed, () => keyed.remove('large')),
      [],
    )
  })
})

describe('the file of before stays, and nothing else is left', () => {
  const failure = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  const fail = (): never => {
    throw failure
  }
  let calls = 0
  const failingAfter =
    (many: number): typeof fs.writeSync =>
    (descriptor: number, ...rest: unknown[]): number => {
      if (calls++ === many) throw failure
      return (fs.writeSync as (descriptor: number, ...rest: unknown[]) => number)(descriptor, ...rest)
    }
  const faults: [string, Parameters<typeof write>[2]][] = [
    ['when the disk is full at once', { writeSync: fail }],
    ['when the disk is full later', { writeSync: failingAfter(1) }],
    ['when the last byte finds no room', { writeSync: failingAfter(3) }],
    ['when nothing can be synced', { fsyncSync: fail }],
    ['when nothing can be renamed', { renameSync: fail }],
  ]
  for (const [name, storage] of faults) {
    test(name, t => {
      calls = 0
      const file = snapshotFile(t)
      write(sampleStore(), file)
      const before = fs.readFileSync(file)
      const keyed = sampleStore()
      keyed.set('more', 'x')
      assert.throws(() => write(keyed, file, storage), /ENOSPC/)
      assert.deepEqual(fs.readFileSync(file), before)
      assert.ok(!fs.existsSync(`${file}.tmp`))
      keyed.store.check()
      assert.equal(write(keyed, file).records, 5)
    })
  }

  test('when a write takes only some of the bytes, the rest follows', async t => {
    const file = snapshotFile(t)
    const writeSync = (descriptor: number, all: Buffer, offset: number, length: number, position: number): number =>
      fs.writeSync(descriptor, all, offset, Math.min(length, 7), position)
    write(sampleStore(), file, { writeSync: writeSync as typeof fs.writeSync })
    const after = createStore()
    await load(after, file)
    assert.deepEqual(contentOf(after), contentOf(sampleStore()))
  })

  test('everything is on the disk before it has its name', t => {
    const file = snapshotFile(t)
    const done: string[] = []
    const storage = Object.fromEntries(
      (['openSync', 'writeSync', 'fsyncSync', 'closeSync', 'renameSync'] as const).map(name => [
        name,
        (...given: unknown[]): unknown => {
          done.push(name)
          return (fs[name] as (...all: unknown[]) => unknown)(...given)
        },
      ]),
    )
    write(sampleStore(), file, storage)
    const writes = ['writeSync', 'writeSync', 'writeSync', 'writeSync']
    const folder = ['openSync', 'fsyncSync', 'closeSync']
    assert.deepEqual(done, ['openSync', ...writes, 'fsyncSync', 'closeSync', 'renameSync', ...folder])
  })
})

test('nobody but the owner may read a snapshot', { skip: process.platform === 'win32' }, t => {
  const file = snapshotFile(t)
  write(sampleStore(), file)
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
})
