// Writes that go around the cache: plain SQL in the database, from whoever.
import type { StatementKind } from './plan.ts'
import type { Postgres, Transaction } from './postgres.ts'
import { PLAIN } from './row.ts'
import type { Value } from './truth.ts'
import type { World } from './world.ts'

interface Script {
  readonly postgres: Postgres
  readonly tx: Transaction
  /** One after another, each with its row locked. */
  readonly keys: readonly string[]
  readonly change: (key: string, index: number) => void
  readonly stepMs: number
  readonly end: () => void
}

export class Statements {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  begin(kind: StatementKind, dice: readonly number[]): void {
    const { postgres, keys, config } = this.#world
    if (!postgres.process.alive || postgres.frozen) return
    const [which = 0, many = 0, long = 0, rare = 0] = dice
    const key = keys[Math.floor(which * keys.length)]!
    const stepMs = long < 0.7 ? long : long * 40
    const asynchronous = config.asynchronousCommits && rare < 0.4
    postgres.process.enter(() => {
      const tx = postgres.begin()
      const commit = (): void => postgres.commit(tx, asynchronous, true, () => {})
      const run = (its: readonly string[], change: Script['change'], end = commit): void =>
        this.#run({ postgres, tx, keys: its, change, stepMs, end })
      const set = (value: (key: string) => Value) => (changed: string) => void postgres.change(tx, changed, value(changed)) // prettier-ignore
      const fresh = set(() => this.#world.newValue())
      if (kind === 'update') run([key], fresh)
      else if (kind === 'delete')
        run(
          [key],
          set(() => null),
        )
      else if (kind === 'cascade')
        run(
          this.#some(many),
          set(() => null),
        )
      else if (kind === 'copy') run(keys, fresh)
      else if (kind === 'truncate') this.#truncate(tx, run)
      else if (kind === 'move key') this.#moveKey(tx, key, many, run)
      else if (kind === 'abort') run([key], fresh, () => postgres.abort(tx))
      else if (kind === 'savepoint') this.#savepoint(tx, key, many, run)
      else if (kind === 'twice') run([key, key], fresh)
      else
        run([key], fresh, () =>
          postgres.process.clock.timer(long * 150, () => (tx.state === 'running' ? commit() : undefined)),
        )
    })
  }

  #some(die: number): string[] {
    const { keys } = this.#world
    return keys.filter((_, index) => Math.floor(die * 2 ** keys.length) & (1 << index))
  }

  /** All rows of the plain table, at once, and the log does not name them. */
  #truncate(tx: Transaction, run: (keys: readonly string[], change: Script['change']) => void): void {
    const { postgres, keys } = this.#world
    const plain = keys.filter(key => key.startsWith(`${PLAIN}:`))
    run(plain, (_, index) => {
      // With the last lock the table is this transaction's alone.
      if (index < plain.length - 1) return
      for (const key of plain) postgres.change(tx, key, null)
      tx.unknown = true
    })
  }

  /** UPDATE of a primary key: one row is gone, another is there. */
  #moveKey(
    tx: Transaction,
    from: string,
    die: number,
    run: (keys: readonly string[], change: Script['change']) => void,
  ): void {
    // prettier-ignore
    const { postgres, keys } = this.#world
    const to = keys[Math.floor(die * keys.length)]!
    const both = [...new Set([from, to])].toSorted()
    run(both, (_, index) => {
      if (index < both.length - 1) return
      if (from !== to) postgres.change(tx, from, null)
      postgres.change(tx, to, this.#world.newValue())
    })
  }

  #savepoint(
    tx: Transaction,
    key: string,
    die: number,
    run: (keys: readonly string[], change: Script['change']) => void,
  ): void {
    // prettier-ignore
    const { postgres } = this.#world
    run([key], changed => {
      const before = tx.changes.length
      postgres.change(tx, changed, this.#world.newValue())
      postgres.rollBackTo(tx, before)
      if (die < 0.5) postgres.change(tx, changed, this.#world.newValue())
    })
  }

  // Rows are locked in one order, so that nobody waits in a circle.
  #run(script: Script): void {
    const { postgres, tx, keys, change, stepMs, end } = script
    const next = (index: number): void => {
      if (tx.state !== 'running') return
      if (index === keys.length) {
        end()
        return
      }
      postgres.lock(tx, keys[index]!, () => {
        change(keys[index]!, index)
        postgres.process.clock.timer(stepMs, () => next(index + 1))
      })
    }
    next(0)
  }
}
