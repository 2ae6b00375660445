// Rounds of a real process that writes behind, and is killed (SIGKILL) at some moment. The next one, and every few rounds this
// one, has to read what was acknowledged, and bring it to the databases: what it reads, and what they have in the end, is the
// last value that was acknowledged, or one that was begun after it.
// Not for: power cuts (model.test.ts, by a simulated disk).
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { seededRandom, type Random } from '../../../src/base/random.ts'
import { createTidemark } from '../../../src/index.ts'
import { linesUntilKilled, runRounds, type KilledRounds } from '../../support/kill-rounds.ts'
import { keysOf, openKilled, removes } from './kill-keyspaces.ts'

export interface BehindKillReport {
  readonly rounds: number
  readonly acknowledged: number
  /** Reads that were checked, and values that databases were found to have in the end. */
  readonly reads: number
  readonly stored: number
  /** Values that were only in the journal when this process looked. */
  readonly onlyInJournal: number
}

interface Known {
  /** The last value that was acknowledged; 0 before any. */
  done: number
  /** Values that were begun after it, by whichever process. */
  begun: number[]
}

const CHECKED_EVERY = 3
const DONE_LEAST = 20

class KillRounds implements KilledRounds<BehindKillReport> {
  readonly #directory: string
  readonly #random: Random
  readonly #known = new Map<string, Known>()
  #rounds = 0
  #next = 1
  #acknowledged = 0
  #reads = 0
  #stored = 0
  #onlyInJournal = 0

  constructor(directory: string, random: Random) {
    this.#directory = directory
    this.#random = random
    const sql = new DatabaseSync(join(directory, 'rows.db'))
    sql.exec('PRAGMA journal_mode = wal; CREATE TABLE rows (id INTEGER PRIMARY KEY, n INTEGER)')
    sql.close()
    for (const name of ['rows', 'values']) {
      for (const key of keysOf(name)) this.#known.set(`${name} ${key}`, { done: 0, begun: [] })
    }
  }

  async round(last: boolean): Promise<void> {
    const label = ++this.#rounds
    const program = join(import.meta.dirname, 'kill-child.ts')
    const args = [this.#directory, String(label), String(this.#next)]
    // Every second one has acknowledged something by then, however slow the machine is; others may be at their beginning.
    const isReady = (said: string): boolean =>
      label % 2 === 0 ? said.split('\ndone ').length > DONE_LEAST : said.startsWith('open\n')
    const lines = await linesUntilKilled(program, args, isReady, () => this.#random.below(300))
    for (const line of lines) this.#hear(line)
    if (last || label % CHECKED_EVERY === 0) await this.#look()
  }

  #hear(line: string): void {
    const [word, name, key, number] = line.split(' ')
    const known = this.#known.get(`${name} ${key}`)
    assert.ok(known !== undefined, line)
    const value = Number(number)
    if (word === 'read') return this.#check(line, known, value === 0 ? undefined : value)
    if (word === 'begin') {
      known.begun.push(value)
      this.#next = Math.max(this.#next, value + 1)
      return
    }
    assert.equal(word, 'done')
    this.#acknowledged++
    known.done = value
    known.begun = []
  }

  #check(what: string, known: Known, read: number | undefined): void {
    const { done, begun } = known
    this.#reads++
    const allowed = [done, ...begun].map(value => (value === 0 || removes(value) ? undefined : value))
    assert.ok(allowed.includes(read), `${what}: may be ${allowed.join(', ')}`)
    // What was seen once stays.
    if (read === undefined) return
    known.done = read
    known.begun = begun.filter(value => value > read)
  }

  /** As the next start: what is read before and after it is all in the databases. */
  async #look(): Promise<void> {
    const database = new DatabaseSync(join(this.#directory, 'functions.db'))
    database.exec(`ATTACH '${join(this.#directory, 'rows.db')}' AS outside`)
    const tide = await createTidemark({ journal: { directory: join(this.#directory, 'journals') } })
    const keyspaces = Object.values(openKilled(tide, this.#directory, database, () => Promise.resolve()))
    for (const { name, stored, read, flush } of keyspaces) {
      const before = new Map(keysOf(name).map(key => [key, stored(key)]))
      for (const key of keysOf(name)) {
        const value = await read(key)
        this.#check(`${name} ${key} read`, this.#known.get(`${name} ${key}`)!, value)
        if (value !== before.get(key)) this.#onlyInJournal++
      }
      await flush()
      for (const key of keysOf(name)) {
        const known = this.#known.get(`${name} ${key}`)!
        this.#check(`${name} ${key} stored`, known, stored(key))
        this.#stored++
      }
    }
    await tide.close()
    database.close()
  }

  report(): BehindKillReport {
    return {
      rounds: this.#rounds,
      acknowledged: this.#acknowledged,
      reads: this.#reads,
      stored: this.#stored,
      onlyInJournal: this.#onlyInJournal,
    }
  }
}

/** Throws at the first round in which something that was acknowledged is missing. */
export function behindKillRounds(
  rounds: number,
  seed: number,
  progress: (round: number) => void,
): Promise<BehindKillReport> {
  return runRounds(rounds, progress, directory => new KillRounds(directory, seededRandom(seed)))
}
