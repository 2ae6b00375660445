// Rounds of a real process that appends to a journal on the real disk and is killed (SIGKILL) at some moment. Opened again,
// the journal has to hold all that the process had said to be acknowledged, in order and byte for byte, and nothing else. In some
// rounds the last file gets a torn end before that, as a power cut leaves it.
// Not for: pages that were written and not synced, which a killed process does not lose (journal-crash.test.ts).
import assert from 'node:assert/strict'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { Journal } from '../../src/journal/journal.ts'
import { diskStorage } from '../../src/journal/storage.ts'
import { linesUntilKilled, runRounds, type KilledRounds } from '../support/kill-rounds.ts'
import { contentOf, killOptions, labelOf } from './kill-content.ts'

export interface KillReport {
  readonly rounds: number
  readonly acknowledged: number
  /** Handed out after a kill, and those of them that had not been acknowledged. */
  readonly replayed: number
  readonly unacknowledged: number
  readonly tornEnds: number
  /** Rounds in which the process was killed before it had acknowledged anything. */
  readonly early: number
}

const tails: readonly ((whole: Buffer, random: Random) => Buffer)[] = [
  () => Buffer.alloc(0),
  (_, random) => Buffer.from(Uint8Array.from({ length: 1 + random.below(5_000) }, () => random.below(256))),
  (_, random) => Buffer.alloc(1 + random.below(5_000)),
  (whole, random) => whole.subarray(random.below(whole.length)),
  (whole, random) => whole.subarray(0, random.below(whole.length)),
]

class KillRounds implements KilledRounds<KillReport> {
  readonly #directory: string
  readonly #random: Random
  #acknowledged = 0
  #confirmed = 0
  /** The label of the process that appended each number, as far as it may still be there. */
  readonly #labels = new Map<number, number>()
  #rounds = 0
  #replayed = 0
  #unacknowledged = 0
  #tornEnds = 0
  #early = 0

  constructor(directory: string, random: Random) {
    this.#directory = directory
    this.#random = random
  }

  async round(): Promise<void> {
    const label = ++this.#rounds
    const before = this.#acknowledged
    const program = join(import.meta.dirname, 'kill-child.ts')
    const args = [this.#directory, String(label)]
    const isReady = (said: string): boolean => said.startsWith('open\n')
    const lines = await linesUntilKilled(program, args, isReady, () => this.#random.below(150))
    for (const line of lines) this.#hear(line, label)
    if (this.#acknowledged === before) this.#early++
    this.#tear()
    const { journal, entries } = await Journal.open({ ...killOptions, directory: this.#directory, clock: systemClock(), random: systemRandom(), storage: diskStorage() }) // prettier-ignore
    assert.ok(journal.confirmed <= this.#confirmed, `confirmed ${journal.confirmed}, told ${this.#confirmed}`)
    let next = journal.confirmed + 1
    for (const { sequence, content } of entries) {
      assert.equal(sequence, next++)
      const from = labelOf(content)
      assert.deepEqual(content, contentOf(from, sequence), `entry ${sequence}`)
      const expected = this.#labels.get(sequence)
      assert.equal(from, expected ?? label, `entry ${sequence} is of another process`)
      this.#labels.set(sequence, from)
      this.#replayed++
    }
    assert.ok(next > this.#acknowledged, `acknowledged up to ${this.#acknowledged}, there before ${next}`)
    this.#unacknowledged += next - 1 - this.#acknowledged
    this.#acknowledged = next - 1
    await journal.close()
  }

  #hear(line: string, label: number): void {
    const [word, first, last] = line.split(' ')
    if (word === 'confirming') this.#confirmed = Number(first)
    else {
      assert.equal(word, 'acknowledged')
      assert.equal(Number(first), this.#acknowledged + 1, 'acknowledged in order')
      for (let at = Number(first); at <= Number(last); at++) this.#labels.set(at, label)
      this.#acknowledged = Number(last)
    }
  }

  #tear(): void {
    const file = readdirSync(this.#directory).filter(name => name.endsWith('.journal')).sort().at(-1) // prettier-ignore
    if (file === undefined) return
    const path = join(this.#directory, file)
    const tail = tails[this.#random.below(tails.length)]!(readFileSync(path), this.#random)
    if (tail.length > 0) this.#tornEnds++
    appendFileSync(path, tail)
  }

  report(): KillReport {
    return {
      rounds: this.#rounds,
      acknowledged: this.#acknowledged,
      replayed: this.#replayed,
      unacknowledged: this.#unacknowledged,
      tornEnds: this.#tornEnds,
      early: this.#early,
    }
  }
}

/** Throws at the first round in which something is missing, or there that should not be. */
export function killRounds(rounds: number, seed: number, progress: (round: number) => void): Promise<KillReport> {
  return runRounds(rounds, progress, directory => new KillRounds(directory, seededRandom(seed)))
}
