// Writes that wait for the source: which are sent when, in which order, and what reads see meanwhile. A model of journal and
// source says after any schedule of writes, batches, failures and crashes whether something was lost or came out of order.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { AssertionError } from '../../src/base/assert.ts'
import { seededRandom } from '../../src/base/random.ts'
import { PendingWrites } from '../../src/journal/pending-writes.ts'
import type { PendingWrite, PendingWritesOptions, Write } from '../../src/journal/pending-writes.ts'
import { ManualClock } from '../../src/testing/clock.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const set = (text: string): Write => ({ kind: 'set', value: Buffer.from(text) })
const remove: Write = { kind: 'remove' }
const keysOf = (batch: readonly PendingWrite[]): string[] => batch.map(({ key }) => key)
const shown = (write: Write | undefined): string | undefined =>
  write?.kind === 'set' ? Buffer.from(write.value).toString() : write?.kind

interface Scene {
  readonly clock: ManualClock
  readonly pending: PendingWrites
  /** Adds a write with the next number. */
  add(key: string, write?: Write): void
}

const defaults = { confirmed: 0, keysMax: 1_000, batchMax: 3, maxDelayMs: 100, retryMs: 10, retryMaxMs: 1_000 }

function scene(options: Partial<PendingWritesOptions> = {}): Scene {
  const clock = new ManualClock()
  const pending = new PendingWrites({ ...defaults, clock, random: seededRandom(1), ...options })
  let sequence = options.confirmed ?? 0
  return { clock, pending, add: (key, write = set(`${key}${sequence + 1}`)) => pending.add(key, write, ++sequence) }
}

describe('batches', () => {
  test('are sent when there is a full one, or the oldest write has waited for long enough', () => {
    const { clock, pending, add } = scene()
    assert.equal(pending.dueMs(), undefined)
    add('a')
    clock.advance(40)
    add('b')
    assert.deepEqual(pending.take(), [])
    assert.equal(pending.dueMs(), clock.monotonicMs() + 60)
    clock.advance(59)
    assert.deepEqual(pending.take(), [])
    clock.advance(1)
    assert.deepEqual(keysOf(pending.take()), ['a', 'b'])
    for (const key of ['c', 'd', 'e', 'f']) add(key)
    assert.ok(pending.dueMs()! <= clock.monotonicMs())
    assert.deepEqual(keysOf(pending.take()), ['c', 'd', 'e'])
    assert.deepEqual(pending.take(), [])
    assert.deepEqual(keysOf(pending.take(true)), ['f'])
    assert.equal(pending.dueMs(), undefined)
  })

  test('hold the last write of a key, in the place of its first', () => {
    const { clock, pending, add } = scene({ batchMax: 10 })
    add('a', set('old'))
    add('b')
    clock.advance(99)
    add('a', remove)
    clock.advance(1)
    assert.deepEqual(
      pending.take().map(({ key, write, sequence }) => [key, shown(write), sequence]),
      [
        ['a', 'remove', 3],
        ['b', 'b2', 2],
      ],
    )
  })

  test('never hold a key that is on its way already', () => {
    const { clock, pending, add } = scene()
    add('a', set('1'))
    clock.advance(100)
    const first = pending.take()
    add('a', set('2'))
    add('a', set('3'))
    add('b')
    clock.advance(1_000)
    assert.deepEqual(keysOf(pending.take(true)), ['b'])
    assert.deepEqual(pending.take(true), [])
    pending.sent(first)
    assert.deepEqual(
      pending.take().map(({ write }) => shown(write)),
      ['3'],
    )
  })

  test('may be taken smaller than they are', () => {
    const { pending, add } = scene()
    for (const key of ['a', 'b', 'c']) add(key)
    assert.deepEqual(keysOf(pending.take(false, 1)), ['a'])
    assert.deepEqual(keysOf(pending.take(true, 1)), ['b'])
  })

  test('take a write that came late before others when what it stands for is older', () => {
    const { clock, pending, add } = scene({ batchMax: 2 })
    add('a')
    const first = pending.take(true)
    add('a')
    clock.advance(1)
    add('b')
    add('c')
    add('a')
    pending.sent(first)
    assert.deepEqual(keysOf(pending.take(true)), ['a', 'b'])
  })
})

describe('reads', () => {
  test('see the last write of a key until it is in the source', () => {
    const { pending, add } = scene()
    assert.equal(pending.get('a'), undefined)
    add('a', set('1'))
    assert.equal(shown(pending.get('a')), '1')
    const batch = pending.take(true)
    assert.equal(shown(pending.get('a')), '1')
    add('a', remove)
    assert.equal(shown(pending.get('a')), 'remove')
    pending.sent(batch)
    assert.equal(shown(pending.get('a')), 'remove')
    assert.deepEqual(
      [...pending.entries()].map(([key, write]) => [key, shown(write)]),
      [['a', 'remove']],
    )
    pending.sent(pending.take(true))
    assert.equal(pending.get('a'), undefined)
    assert.equal(pending.size, 0)
  })
})

describe('what is told of the writes', () => {
  test('is the number of the latest of a key, and since when the oldest of all waits', () => {
    const { clock, pending, add } = scene()
    assert.deepEqual([pending.sequenceOf('a'), pending.oldestMs()], [undefined, undefined])
    const beganMs = clock.monotonicMs()
    add('a')
    clock.advance(5)
    add('b')
    const batch = pending.take(true)
    clock.advance(5)
    add('a')
    assert.deepEqual([pending.sequenceOf('a'), pending.sequenceOf('b'), pending.oldestMs()], [3, 2, beganMs])
    pending.sent(batch.filter(({ key }) => key === 'a'))
    assert.equal(pending.oldestMs(), beganMs + 5)
    pending.failed(batch.filter(({ key }) => key === 'b'))
    assert.equal(pending.oldestMs(), beganMs + 5, 'a failure makes nothing younger')
  })
})

describe('failures', () => {
  test('of a write that is itself at fault leave the source to others', () => {
    const { clock, pending, add } = scene()
    add('bad')
    pending.failed(pending.take(true), false)
    add('good')
    assert.deepEqual(keysOf(pending.take(true)), ['good'])
    assert.deepEqual(keysOf(pending.take(true)), [], 'it has its own pause')
    clock.advance(11)
    assert.deepEqual(keysOf(pending.take(true)), ['bad'])
  })

  test('leave the source alone, for longer each time, up to a limit, and not all for the same time', () => {
    const { clock, pending, add } = scene({ retryMs: 10, retryMaxMs: 50 })
    add('a')
    const waits: number[] = []
    for (let attempt = 0; attempt < 6; attempt++) {
      const [write] = pending.take(true)
      assert.equal(write!.attempts, attempt)
      pending.failed([write!])
      const waitMs = pending.dueMs(true)! - clock.monotonicMs()
      waits.push(waitMs)
      clock.advance(waitMs - 0.01)
      assert.deepEqual(pending.take(true), [])
      clock.advance(0.02)
    }
    for (const [attempt, waitMs] of waits.entries()) {
      const most = Math.min(10 * 2 ** attempt, 50)
      assert.ok(waitMs >= most / 2 && waitMs <= most, waits.join())
    }
    assert.equal(new Set(waits).size, waits.length)
  })

  test('hold back writes of other keys as well, for the wait after the failures in a row', () => {
    const { clock, pending, add } = scene({ retryMs: 10, retryMaxMs: 50 })
    for (let failures = 0; failures < 5; failures++) {
      for (let i = 0; i < 3; i++) add(`key ${failures} ${i}`)
      const most = Math.min(10 * 2 ** failures, 50)
      pending.failed(pending.take(true, 1))
      clock.advance(most / 2 - 0.01)
      assert.deepEqual(pending.take(true), [])
      assert.ok(pending.dueMs(true)! <= clock.monotonicMs() + most / 2 + 0.01)
      clock.advance(most / 2 + 0.02)
    }
    pending.sent(pending.take(true))
    assert.ok(pending.dueMs(true)! <= clock.monotonicMs(), 'one that went well ends it')
  })

  test('of one write hold back that write, and others for a moment only', () => {
    const { clock, pending, add } = scene({ batchMax: 1, retryMs: 10, retryMaxMs: 10_000 })
    add('bad')
    let sent = 0
    for (let i = 0; i < 300; i++) {
      add(`good ${i}`)
      for (let batch = pending.take(true); batch.length > 0; batch = pending.take(true)) {
        if (batch[0]!.key === 'bad') pending.failed(batch)
        else {
          pending.sent(batch)
          sent++
        }
      }
      clock.advance(10)
    }
    assert.equal(sent, 300)
    const [bad] = [...pending.entries()]
    assert.equal(bad![0], 'bad')
    assert.equal(pending.confirmable(), 0)
  })

  test('of a write that was overtaken send the later one, after the same wait', () => {
    const { clock, pending, add } = scene()
    add('a', set('1'))
    const batch = pending.take(true)
    add('a', set('2'))
    pending.failed(batch)
    assert.deepEqual(pending.take(true), [])
    clock.advance(10)
    const again = pending.take(true)
    assert.deepEqual([shown(again[0]!.write), again[0]!.attempts, again[0]!.sequence], ['2', 1, 2])
    pending.sent(again)
    assert.equal(pending.confirmable(), 2)
  })
})

describe('bounds', () => {
  test('keys that wait, fly or were let in count, until they are sent or withdrawn', () => {
    const { pending, add } = scene({ keysMax: 3 })
    assert.ok(pending.admit(2))
    assert.ok(!pending.admit(2))
    assert.ok(pending.admit(1))
    assert.ok(!pending.admit(1))
    add('a')
    add('b')
    assert.ok(!pending.admit(1))
    pending.withdraw(1)
    assert.ok(pending.admit(1))
    add('a')
    assert.ok(pending.admit(1))
    pending.withdraw(1)
    const batch = pending.take(true)
    assert.ok(!pending.admit(2))
    pending.sent(batch)
    assert.ok(pending.admit(3))
  })
})

describe('misuse is an assertion', () => {
  test('of numbers out of order, and of writes that were not taken', () => {
    const { pending, add } = scene({ confirmed: 7 })
    assert.throws(() => pending.add('a', remove, 9), AssertionError)
    add('a')
    const batch = pending.take(true)
    pending.sent(batch)
    assert.throws(() => pending.sent(batch), AssertionError)
    assert.throws(() => pending.failed(batch), AssertionError)
    assert.throws(() => pending.withdraw(1), AssertionError)
  })
})

type Step =
  | { readonly kind: 'write'; readonly key: number; readonly removes: boolean }
  | { readonly kind: 'take'; readonly hurried: boolean; readonly most: number }
  | { readonly kind: 'sent' | 'failed' | 'applied and failed'; readonly batch: number; readonly share: number }
  | { readonly kind: 'confirm' }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'crash'; readonly applied: number; readonly kept: number }

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('write' as const), key: fc.nat(5), removes: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      hurried: fc.boolean(),
      most: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('sent' as const, 'sent' as const, 'failed' as const, 'applied and failed' as const),
      batch: fc.nat(3),
      share: fc.nat(4),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('confirm' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), applied: fc.nat(), kept: fc.nat() }) },
)

/** The journal and the source, as plain as they can be, and what must hold of both. */
class Model {
  readonly #journal: { readonly key: string; readonly write: Write }[] = []
  readonly #source = new Map<string, number>()
  readonly #clock = new ManualClock()
  #pending: PendingWrites
  #flying: (readonly PendingWrite[])[] = []
  #confirmed = 0

  constructor() {
    this.#pending = this.#reopen()
  }

  /** The numbers of a key's writes; the last is what the source must have in the end. */
  #latest(key: string, upto: number): number {
    for (let at = upto; at > 0; at--) if (this.#journal[at - 1]!.key === key) return at
    return 0
  }

  #reopen(): PendingWrites {
    const options = { ...defaults, clock: this.#clock, random: seededRandom(1), confirmed: this.#confirmed }
    const pending = new PendingWrites(options)
    for (let at = this.#confirmed + 1; at <= this.#journal.length; at++) {
      const { key, write } = this.#journal[at - 1]!
      pending.add(key, write, at)
    }
    return pending
  }

  #apply({ key, sequence, write }: PendingWrite): void {
    assert.ok(sequence >= (this.#source.get(key) ?? 0), `${key}: ${sequence} after ${this.#source.get(key)}`)
    assert.equal(write, this.#journal[sequence - 1]!.write)
    assert.equal(key, this.#journal[sequence - 1]!.key)
    this.#source.set(key, sequence)
  }

  run(step: Step): void {
    if (step.kind === 'write') this.#write(String(step.key), step.removes)
    else if (step.kind === 'take') this.#take(step.hurried, step.most)
    else if (step.kind === 'confirm') this.#confirm()
    else if (step.kind === 'advance') this.#clock.advance(step.ms)
    else if (step.kind === 'crash') this.#crash(step.applied, step.kept)
    else this.#settle(step.kind, step.batch, step.share)
  }

  #write(key: string, removes: boolean): void {
    const write = removes ? remove : set(`${this.#journal.length + 1}`)
    this.#journal.push({ key, write })
    this.#pending.add(key, write, this.#journal.length)
    assert.equal(this.#pending.get(key), write)
  }

  #take(hurried: boolean, most: number): void {
    const dueMs = this.#pending.dueMs(hurried)
    const batch = this.#pending.take(hurried, most)
    assert.equal(batch.length > 0, dueMs !== undefined && dueMs <= this.#clock.monotonicMs())
    assert.ok(batch.length <= Math.min(most, defaults.batchMax))
    const flying = new Set(this.#flying.flat().map(({ key }) => key))
    for (const { key } of batch) assert.ok(!flying.has(key) && flying.add(key), `${key} is on its way twice`)
    if (batch.length > 0) this.#flying.push(batch)
  }

  #settle(kind: 'sent' | 'failed' | 'applied and failed', index: number, share: number): void {
    if (this.#flying.length === 0) return
    const [batch] = this.#flying.splice(index % this.#flying.length, 1)
    const done = kind === 'sent' ? batch!.slice(0, share) : []
    const undone = batch!.slice(done.length)
    for (const write of kind === 'applied and failed' ? batch! : done) this.#apply(write)
    this.#pending.sent(done)
    this.#pending.failed(undone)
  }

  #confirm(): void {
    const upto = this.#pending.confirmable()
    assert.ok(upto >= this.#confirmed && upto <= this.#journal.length)
    for (const key of new Set(this.#journal.slice(0, upto).map(({ key }) => key))) {
      const there = this.#source.get(key) ?? 0
      const overtaken = this.#latest(key, this.#journal.length) > upto
      assert.ok(there >= this.#latest(key, upto) || overtaken, `${key}: ${there} in the source, ${upto} is confirmed`)
    }
    this.#confirmed = upto
  }

  /** What is on its way arrives or not; what the journal knows to be confirmed may be old. */
  #crash(applied: number, kept: number): void {
    for (const [index, write] of this.#flying.flat().entries()) if (((applied >> index) & 1) === 1) this.#apply(write)
    this.#flying = []
    this.#confirmed = kept % (this.#confirmed + 1)
    this.#pending = this.#reopen()
  }

  /** Everything is sent in the end. */
  drain(): void {
    while (this.#flying.length > 0) this.#settle('sent', 0, Infinity)
    for (let dueMs = this.#pending.dueMs(true); dueMs !== undefined; dueMs = this.#pending.dueMs(true)) {
      this.#clock.advance(Math.max(0, dueMs - this.#clock.monotonicMs()))
      this.#take(true, Infinity)
      while (this.#flying.length > 0) this.#settle('sent', 0, Infinity)
    }
    assert.equal(this.#pending.size, 0)
    assert.equal(this.#pending.confirmable(), this.#journal.length)
    for (const { key } of this.#journal) {
      assert.equal(this.#source.get(key), this.#latest(key, this.#journal.length), `${key} in the source`)
      assert.equal(this.#pending.get(key), undefined)
    }
  }
}

test('whatever happens, every key gets its last write, never an earlier one after a later', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 120, size: 'max' }), list => {
      const model = new Model()
      for (const step of list) model.run(step)
      model.drain()
    }),
    { numRuns: 1_000 },
  )
})
