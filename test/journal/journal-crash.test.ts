// The journal on a disk that fails and forgets: whatever happens at whichever call, what was acknowledged is handed out again
// until it was confirmed, in order, and nothing that was never appended is.
// Not for: real processes and files (kill.test.ts, journal.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { afterThisTurn } from '../../src/base/turn.ts'
import { Journal } from '../../src/journal/journal.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { noFault, SimulatedDisk } from './simulated-disk.ts'
import type { Fault, Plan } from './simulated-disk.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const directory = 'journal'
const faults: readonly Fault[] = ['ENOSPC', 'EIO', 'kill', 'power']
const RUNS = Number(process.env['TIDEMARK_RUNS'] ?? 400)

/** What may, and what must be in the journal. */
class Witness {
  /** Appended, by number: acknowledged, or not yet. */
  readonly acknowledged = new Map<number, string>()
  readonly appended = new Map<number, string>()
  confirmed = 0
  last = 0
  lives = 0
  failures = 0
  replayed = 0

  check(entries: readonly { readonly sequence: number; readonly content: Buffer }[], confirmed: number): void {
    assert.ok(confirmed <= this.confirmed, `${confirmed} is confirmed, and only ${this.confirmed} was`)
    let next = confirmed + 1
    for (const { sequence, content } of entries) {
      assert.equal(sequence, next++, 'entries follow one another')
      const expected = this.acknowledged.get(sequence) ?? this.appended.get(sequence)
      assert.ok(expected !== undefined, `entry ${sequence} was never appended`)
      assert.equal(content.toString(), expected, `entry ${sequence}`)
      this.acknowledged.set(sequence, expected)
      this.replayed++
    }
    assert.ok(next > this.last, `acknowledged up to ${this.last}, and there only before ${next}`)
    this.last = next - 1
    this.appended.clear()
  }
}

class Life {
  readonly #journal: Journal
  readonly #alive: () => Promise<void>
  readonly #witness: Witness
  readonly #random: Random
  #appends: Promise<void>[] = []
  /** The number that the next append gets. */
  #next: number

  constructor(journal: Journal, witness: Witness, random: Random, alive: () => Promise<void>) {
    this.#alive = alive
    this.#journal = journal
    this.#witness = witness
    this.#random = random
    this.#next = witness.last + 1
  }

  async run(): Promise<void> {
    for (let steps = this.#random.below(20); steps > 0; steps--) {
      await this.#alive()
      const dice = this.#random.below(10)
      if (dice < 6) this.#appends.push(this.#append())
      else if (dice < 8) this.#confirm()
      // Long enough for what was only confirmed to be written by itself.
      else if (dice < 9) for (let turns = 0; turns < 30; turns++) await new Promise<void>(afterThisTurn)
      else await Promise.all(this.#appends.splice(0))
    }
    await Promise.all(this.#appends)
    await this.#alive()
    if (this.#random.below(2) === 0) this.#confirm()
  }

  async #append(): Promise<void> {
    const texts = Array.from({ length: 1 + this.#random.below(4) }, () =>
      `${this.#random.uint32()}`.repeat(this.#random.below(20)),
    )
    const healthy = this.#journal.failure === undefined
    let first = 0
    const buffers = texts.map(text => Buffer.from(text))
    const expected = this.#next
    const appending = this.#journal.append(buffers, at => {
      assert.equal(at, this.#witness.last + 1, 'acknowledged in order')
      this.#witness.last = at + texts.length - 1
      first = at
      for (const [index, text] of texts.entries()) this.#witness.acknowledged.set(at + index, text)
    })
    // Whether it was refused is known in the same turn; the numbers are given in the order of the calls.
    if (healthy) for (const [index, text] of texts.entries()) this.#witness.appended.set(expected + index, text)
    this.#next += texts.length
    try {
      const last = await appending
      assert.equal(first, expected)
      assert.equal(last, first + texts.length - 1)
    } catch (thrown) {
      assert.ok(thrown instanceof TidemarkError, String(thrown))
      assert.equal(thrown.code, 'JOURNAL_FAILED')
      this.#witness.failures++
      if (!healthy) this.#next = expected
    }
  }

  #confirm(): void {
    const { last, confirmed } = this.#witness
    const to = confirmed + this.#random.below(last - confirmed + 1)
    this.#witness.confirmed = to
    this.#journal.confirm(to)
  }
}

async function live(disk: SimulatedDisk, witness: Witness, random: Random, plan: Plan): Promise<'ended' | 'died'> {
  const { storage, died, alive } = disk.start(plan)
  witness.lives++
  const life = async (): Promise<'ended'> => {
    let opened
    try {
      opened = await Journal.open({
        directory,
        clock: new ManualClock(),
        random,
        storage,
        fileBytesMax: 1_000,
        bytesMax: 1_000_000,
      })
    } catch (thrown) {
      assert.ok(thrown instanceof TidemarkError && thrown.code === 'JOURNAL_FAILED', String(thrown))
      witness.failures++
      return 'ended'
    }
    witness.check(opened.entries, opened.journal.confirmed)
    await new Life(opened.journal, witness, random, alive).run()
    await opened.journal.close()
    return 'ended'
  }
  return Promise.race([life(), died.then((): 'died' => 'died')])
}

test('whatever the disk does at whichever call, what was acknowledged is there, in order', async () => {
  const totals = { lives: 0, failures: 0, replayed: 0, died: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 2 ** 31 }), async seed => {
      const random = seededRandom(seed)
      const disk = new SimulatedDisk(random)
      const witness = new Witness()
      for (let lives = 1 + random.below(8); lives > 0; lives--) {
        const fault = faults[random.below(faults.length)]!
        const plan = { at: random.below(120), fault, shortWrites: random.below(3) === 0 }
        if ((await live(disk, witness, random, plan)) === 'died') totals.died++
        // A process that gave up, or was closed: the machine may lose its power all the same.
        else if (random.below(3) === 0) disk.cutPower()
      }
      assert.equal(await live(disk, witness, random, noFault), 'ended')
      assert.equal(await live(disk, witness, random, noFault), 'ended')
      totals.lives += witness.lives
      totals.failures += witness.failures
      totals.replayed += witness.replayed
    }),
    { numRuns: RUNS },
  )
  // It did meet what it is about.
  assert.ok(totals.died > RUNS / 2 && totals.failures > RUNS && totals.replayed > RUNS, JSON.stringify(totals))
})
