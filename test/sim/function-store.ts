// What stands behind a keyspace of plain functions: a service of somebody's, far away, that keeps values by key, and the functions
// that a user wrote to ask it. It is atomic for a key and for nothing more; it is slow at times, fails before a change or after
// it, and goes on with what nobody waits for any more. Not for: what the functions are made into (src/source/functions-source.ts).
import type { Random } from '../../src/base/random.ts'
import type { SourceFunctions } from '../../src/source/functions-source.ts'
import type { SimProcess } from './machine.ts'
import { Connection, type Network } from './network.ts'
import { rowOf, valueOf } from './row.ts'
import type { Truth, Value } from './truth.ts'

export interface StoreShape {
  readonly delayMs: number
  /** One step in so many is slow (0: none), by up to `slowMs`: longer than anybody waits, sometimes. */
  readonly slowOneIn: number
  readonly slowMs: number
  /** One change in so many fails, before or after it was made (0: none). */
  readonly failsOneIn: number
  /** The same of loads; without it none. */
  readonly loadsFailOneIn?: number
}

/** What the service throws; the users' own error, which means nothing to the product. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
}

/** A call of the functions waits for so long by itself: longer than the product does. */
export const PATIENCE_MS = 20_000

export class FunctionStore {
  readonly process: SimProcess
  readonly #keyspace: string
  readonly #shape: StoreShape
  readonly #random: Random
  readonly #truth: Truth
  readonly #nowMs: () => number
  readonly #shown: (key: string, value: Value) => void

  constructor(options: {
    readonly process: SimProcess
    readonly keyspace: string
    readonly shape: StoreShape
    readonly random: Random
    readonly truth: Truth
    readonly nowMs: () => number
    /** Told of every change. */
    readonly shown?: (key: string, value: Value) => void
  }) {
    this.process = options.process
    this.#keyspace = options.keyspace
    this.#shape = options.shape
    this.#random = options.random
    this.#truth = options.truth
    this.#nowMs = options.nowMs
    this.#shown = options.shown ?? (() => {})
  }

  /** A user's functions, in a process. */
  functions(process: SimProcess, network: Network): SourceFunctions {
    let connection: Connection | undefined
    const connect = (): Connection => {
      if (connection?.open !== true) connection = new Connection(network, process, this.process)
      return connection
    }
    return {
      load: ids => connect().call(PATIENCE_MS, (answer, refuse) => this.load(ids, answer, refuse)),
      store: entries => {
        const rows = [...entries].map(([id, row]) => [id, valueOf(row as Uint8Array)] as const)
        return connect().call<void>(PATIENCE_MS, (answer, refuse) => this.change(rows, answer, refuse))
      },
      remove: ids => {
        const rows = ids.map(id => [id, null] as const)
        return connect().call<void>(PATIENCE_MS, (answer, refuse) => this.change(rows, answer, refuse))
      },
    }
  }

  load(ids: readonly string[], answer: (rows: Map<string, Uint8Array>) => void, refuse: (error: Error) => void): void {
    const { loadsFailOneIn = 0 } = this.#shape
    const fails = loadsFailOneIn > 0 && this.#random.below(loadsFailOneIn) === 0
    this.#soon(() => {
      if (fails) return refuse(new StoreError('the store has failed'))
      const rows = new Map<string, Uint8Array>()
      for (const id of ids) {
        const row = rowOf(id, this.#truth.latest(`${this.#keyspace}:${id}`))
        if (row !== null) rows.set(id, row)
      }
      this.#soon(() => answer(rows))
    })
  }

  /** One key after another, for as long as it `goesOn`. */
  change(
    rows: readonly (readonly [id: string, value: Value])[],
    answer: () => void,
    refuse: (error: Error) => void,
    goesOn: () => boolean = () => true,
  ): void {
    const { failsOneIn } = this.#shape
    const fails = failsOneIn > 0 && this.#random.below(failsOneIn) === 0
    const failsAt = fails ? this.#random.below(rows.length + 1) : -1
    const step = (at: number): void => {
      this.#soon(() => {
        if (!goesOn()) return
        if (at === failsAt) return refuse(new StoreError('the store has failed'))
        const row = rows[at]
        if (row === undefined) return answer()
        const key = `${this.#keyspace}:${row[0]}`
        this.#truth.show(key, row[1], this.#nowMs())
        this.#shown(key, row[1])
        step(at + 1)
      })
    }
    step(0)
  }

  #soon(then: () => void): void {
    const { delayMs, slowOneIn, slowMs } = this.#shape
    const usualMs = delayMs * (0.5 + this.#random.fraction())
    const slow = slowOneIn > 0 && this.#random.below(slowOneIn) === 0
    this.process.clock.timer(slow ? usualMs + this.#random.fraction() * slowMs : usualMs, then)
  }
}
