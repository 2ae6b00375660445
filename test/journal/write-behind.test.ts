// Journal and pending writes together, as write-behind uses them, on a disk that fails and forgets and before a source that
// fails and does not say what it did: in the end every key has the last write that was acknowledged, or a later one that was
// not; and no key ever went back within the life of a process.
// Not for: each of the two alone (journal-crash.test.ts, pending-writes.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { afterThisTurn } from '../../src/base/turn.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { OpenedJournal } from '../../src/journal/journal.ts'
import { PendingWrites } from '../../src/journal/pending-writes.ts'
import type { PendingWrite, Write } from '../../src/journal/pending-writes.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { noFault, SimulatedDisk } from './simulated-disk.ts'
import type { Fault, Plan } from './simulated-disk.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const RUNS = Number(process.env['TIDEMARK_RUNS'] ?? 200)
const faults: readonly Fault[] = ['ENOSPC', 'EIO', 'kill', 'power']
const KEYS = 5
const turn = (): Promise<void> => new Promise(afterThisTurn)

/** An entry is a key and the number of the write; every seventh is a removal. */
const encode = (key: string, value: number): Buffer => Buffer.from(`${key} ${value}`)
const removes = (value: number): boolean => value % 7 === 0
function decode(content: Buffer): { readonly key: string; readonly value: number; readonly write: Write } {
  const [key, value] = content.toString().split(' ')
  const write: Write = removes(Number(value)) ? { kind: 'remove' } : { kind: 'set', value: content }
  return { key: key!, value: Number(value), write }
}

/** What outlives every process: the source, and what was promised. */
class World {
  readonly source = new Map<string, Write>()
  /** Per key the latest write that was acknowledged, and those after it that were not. */
  readonly promised = new Map<string, number>()
  readonly attempted = new Map<string, Set<number>>()
  values = 0
  acknowledged = 0
  sentAgain = 0

  /** Whether what is in the source, or is to come to it, may be the last for this key. */
  assertLast(key: string, write: Write | undefined): void {
    const promised = this.promised.get(key)
    if (promised === undefined) return
    const allowed = [promised, ...[...this.attempted.get(key)!].filter(value => value > promised)]
    const value = write?.kind === 'set' ? decode(Buffer.from(write.value)).value : undefined
    const right = value === undefined ? write !== undefined && allowed.some(removes) : allowed.includes(value)
    assert.ok(right, `${key}: ${value ?? write?.kind}, and may be ${allowed.join(', ')}`)
  }
}

class Life {
  readonly #world: World
  readonly #random: Random
  readonly #journal: Journal
  readonly #alive: () => Promise<void>
  readonly #pending: PendingWrites
  readonly #clock = new ManualClock()
  readonly #sentSequence = new Map<string, number>()
  #writes: Promise<void>[] = []
  #flying: (readonly PendingWrite[])[] = []

  constructor(world: World, random: Random, { journal, entries }: OpenedJournal, alive: () => Promise<void>) {
    this.#alive = alive
    this.#world = world
    this.#random = random
    this.#journal = journal
    this.#pending = new PendingWrites({
      clock: this.#clock,
      random,
      confirmed: journal.confirmed,
      keysMax: 100,
      batchMax: 3,
      maxDelayMs: 20,
      retryMs: 5,
      retryMaxMs: 50,
    })
    for (const { sequence, content } of entries) {
      const { key, write } = decode(content)
      this.#pending.add(key, write, sequence)
    }
  }

  async run(steps: number): Promise<void> {
    for (const key of this.#world.promised.keys()) this.#read(key)
    for (; steps > 0; steps--) {
      await this.#alive()
      const dice = this.#random.below(10)
      if (dice < 4) this.#writes.push(this.#write(`key${this.#random.below(KEYS)}`))
      else if (dice < 6) this.#take(false)
      else if (dice < 8) this.#settle()
      else if (dice < 9) this.#clock.advance(this.#random.below(40))
      else for (let turns = this.#random.below(40); turns > 0; turns--) await turn()
    }
    await Promise.all(this.#writes)
  }

  /** What a reader sees now. */
  #read(key: string): void {
    this.#world.assertLast(key, this.#pending.get(key) ?? this.#world.source.get(key))
  }

  async #write(key: string): Promise<void> {
    const value = ++this.#world.values
    const content = encode(key, value)
    const attempted = this.#world.attempted.get(key) ?? new Set()
    this.#world.attempted.set(key, attempted.add(value))
    if (!this.#pending.admit(1)) return
    try {
      await this.#journal.append([content], sequence => this.#pending.add(key, decode(content).write, sequence))
      this.#world.promised.set(key, Math.max(value, this.#world.promised.get(key) ?? 0))
      this.#world.acknowledged++
      this.#read(key)
    } catch (thrown) {
      assert.ok(thrown instanceof TidemarkError && thrown.code === 'JOURNAL_FAILED', String(thrown))
      this.#pending.withdraw(1)
    }
  }

  #take(hurried: boolean): void {
    const batch = this.#pending.take(hurried)
    if (batch.length > 0) this.#flying.push(batch)
  }

  #apply({ key, write, sequence, attempts }: PendingWrite): void {
    assert.ok(sequence >= (this.#sentSequence.get(key) ?? 0), `${key} went back to ${sequence}`)
    if (attempts > 0) this.#world.sentAgain++
    this.#sentSequence.set(key, sequence)
    this.#world.source.set(key, write)
  }

  #settle(): void {
    const batch = this.#flying.shift()
    if (batch === undefined) return
    const outcome = this.#random.below(4)
    for (const write of batch) if (outcome > 0) this.#apply(write)
    if (outcome > 1) this.#pending.sent(batch)
    else this.#pending.failed(batch)
    this.#journal.confirm(this.#pending.confirmable())
    for (const { key } of batch) this.#read(key)
  }

  async drain(): Promise<void> {
    while (this.#pending.size > 0) {
      await this.#alive()
      this.#take(true)
      this.#settle()
      this.#clock.advance(10)
    }
    await this.#journal.close()
  }

  close(): Promise<void> {
    return this.#journal.close()
  }
}

async function live(disk: SimulatedDisk, world: World, random: Random, plan: Plan, drains: boolean): Promise<void> {
  const { storage, died, alive } = disk.start(plan)
  const life = async (): Promise<void> => {
    let opened: OpenedJournal
    try {
      opened = await Journal.open({
        directory: 'journal',
        clock: new ManualClock(),
        random,
        storage,
        fileBytesMax: 400,
        bytesMax: 1_000_000,
      })
    } catch (thrown) {
      assert.ok(thrown instanceof TidemarkError && thrown.code === 'JOURNAL_FAILED', String(thrown))
      return
    }
    const one = new Life(world, random, opened, alive)
    await one.run(random.below(60))
    if (drains) await one.drain()
    else await one.close()
  }
  await Promise.race([life(), died])
}

test('through crashes of process, disk and source, every key gets the last write that was acknowledged', async () => {
  const totals = { acknowledged: 0, sentAgain: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 2 ** 31 }), async seed => {
      const random = seededRandom(seed)
      const disk = new SimulatedDisk(random)
      const world = new World()
      for (let lives = 1 + random.below(6); lives > 0; lives--) {
        const fault = faults[random.below(faults.length)]!
        await live(disk, world, random, { at: random.below(150), fault, shortWrites: random.below(2) === 0 }, false)
        if (random.below(2) === 0) disk.cutPower()
      }
      await live(disk, world, random, noFault, true)
      for (const key of world.promised.keys()) world.assertLast(key, world.source.get(key))
      const { storage } = disk.start(noFault)
      const options = { directory: 'journal', clock: new ManualClock(), random, storage, fileBytesMax: 400 }
      assert.deepEqual((await Journal.open(options)).entries, [], 'all of it was confirmed')
      totals.acknowledged += world.acknowledged
      totals.sentAgain += world.sentAgain
    }),
    { numRuns: RUNS },
  )
  assert.ok(totals.acknowledged > 10 * RUNS && totals.sentAgain > RUNS, JSON.stringify(totals))
})
