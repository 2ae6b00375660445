// A source of functions that a test can make slow, failing, hanging or wrong, and that remembers what it was asked for.
import type { Clock } from '../../../src/base/clock.ts'
import { sleep } from '../../../src/base/clock.ts'
import type { FunctionContext } from '../../../src/source/function-calls.ts'
import type { SourceFunctions } from '../../../src/source/functions-source.ts'

export class Backend implements SourceFunctions {
  readonly values = new Map<string, unknown>()
  /** One for each load. */
  readonly asked: (readonly string[])[] = []
  readonly signals: AbortSignal[] = []
  readonly clock: Clock & { advance(ms: number): void }
  /** Infinity: it never answers. */
  takesMs = 0
  failure: Error | undefined
  /** Instead of the values of the ids that were asked for. */
  answer: ((ids: readonly string[]) => Map<string, unknown>) | undefined

  constructor(clock: Clock & { advance(ms: number): void }) {
    this.clock = clock
  }

  readonly load = async (ids: readonly string[], { signal }: FunctionContext): Promise<Map<string, unknown>> => {
    this.asked.push(ids)
    this.signals.push(signal)
    const { failure, takesMs } = this
    // What it is when the question comes is what it answers, however late.
    const found =
      this.answer?.(ids) ?? new Map(ids.filter(id => this.values.has(id)).map(id => [id, this.values.get(id)]))
    if (takesMs === Infinity) return new Promise(() => {})
    if (takesMs > 0) await sleep(this.clock, takesMs)
    if (failure !== undefined) throw failure
    return found
  }

  readonly store = async (entries: ReadonlyMap<string, unknown>): Promise<void> => {
    for (const [id, value] of entries) this.values.set(id, value)
  }

  readonly remove = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) this.values.delete(id)
  }
}
