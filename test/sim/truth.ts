// What the database showed, and when: all that the checker knows. Filled by the database's model alone, read by nobody but
// the checker. Times are the simulation's.

/** A row's content; every write has a number of its own. null: there is no row. */
export type Value = number | null

export interface Shown {
  readonly value: Value
  readonly sinceMs: number
  /** Another server took over, which had not seen what was shown before. */
  readonly tookOver: boolean
}

export class Truth {
  readonly #history = new Map<string, Shown[]>()
  /** Values that their own transaction overwrote, and when that became visible. */
  readonly #overwritten = new Map<number, number>()
  /** Versions shown, of all keys. */
  versions = 0

  /** From now on every query sees this value. */
  show(key: string, value: Value, nowMs: number, tookOver = false): void {
    const history = this.#history.get(key)
    const shown = { value, sinceMs: nowMs, tookOver }
    if (history === undefined) this.#history.set(key, [shown])
    else history.push(shown)
    this.versions++
  }

  overwrite(value: Value, nowMs: number): void {
    if (value !== null) this.#overwritten.set(value, nowMs)
  }

  history(key: string): readonly Shown[] {
    return this.#history.get(key) ?? []
  }

  latest(key: string): Value {
    return this.#history.get(key)?.at(-1)?.value ?? null
  }

  /** When the present value became visible. */
  sinceMs(key: string): number {
    return this.#history.get(key)?.at(-1)?.sinceMs ?? 0
  }

  /** When a version became visible. */
  shownMs(key: string, version: number): number {
    return this.#history.get(key)![version]!.sinceMs
  }

  /** The last version with this value that was visible at some instant in [fromMs, toMs]; undefined: none was. */
  version(key: string, value: Value, fromMs: number, toMs: number): number | undefined {
    const history = this.#history.get(key) ?? []
    for (let index = history.length - 1; index >= 0; index--) {
      const shown = history[index]!
      const untilMs = history[index + 1]?.sinceMs ?? Infinity
      if (untilMs < fromMs) break
      if (shown.value === value && shown.sinceMs <= toMs) return index
    }
    return undefined
  }

  /** The first version with this value that was visible at `fromMs` or later. */
  firstVersion(key: string, value: Value, fromMs: number): number | undefined {
    const history = this.#history.get(key) ?? []
    let first: number | undefined
    for (let index = history.length - 1; index >= 0; index--) {
      const untilMs = history[index + 1]?.sinceMs ?? Infinity
      if (untilMs < fromMs) break
      if (history[index]!.value === value) first = index
    }
    return first
  }

  /** Whether the value is one that its own transaction (a trigger that nobody knew of) overwrote at `fromMs` or later, or will. */
  isOverwritten(value: Value, fromMs: number): boolean {
    if (value === null) return false
    const sinceMs = this.#overwritten.get(value)
    return sinceMs !== undefined && sinceMs >= fromMs
  }

  /** For messages: the versions around an instant. */
  describe(key: string, fromMs: number): string {
    const history = this.#history.get(key) ?? []
    const from = Math.max(0, history.findLastIndex(shown => shown.sinceMs <= fromMs) - 1)
    return history
      .slice(from, from + 6)
      .map(({ value, sinceMs }) => `${value} from ${sinceMs.toFixed(2)}`)
      .join(', ')
  }
}
