// The source that is asked when a keyspace's own fails. What it answers is not kept, and nobody knows how old it is.
// Not for: when it may be asked (loading.ts).
import type { Clock } from '../base/clock.ts'
import { NO_PROOF } from '../coherence/freshness.ts'
import type { ReadAnswer } from '../cache/reader.ts'
import { SourceLoads } from '../cache/source-loads.ts'
import { FunctionsSource, type SourceFunctions } from '../source/functions-source.ts'
import type { ResolvedKeyspace } from './options.ts'
import { CheckedSource } from './schema.ts'

/** What is answered to a call, and what is known of it. */
export type Found = Omit<ReadAnswer<unknown>, 'session'>

export class Fallback {
  readonly #name: string
  readonly #loads: SourceLoads<unknown>

  constructor({ name, load, schema }: ResolvedKeyspace, functions: Pick<SourceFunctions, 'load'>, clock: Clock) {
    this.#name = name
    const source = new FunctionsSource({
      name: `the fallback of ${name}`,
      functions,
      clock,
      loadTimeoutMs: load.timeoutMs,
    })
    const checked = schema === undefined ? source : new CheckedSource(source, new Map([[name, schema]]))
    this.#loads = new SourceLoads<unknown>(checked, clock, () => {}, { limits: new Map([[name, load.limits]]) })
  }

  /** Rejects as its function does. */
  async load(id: string): Promise<Found> {
    const { row } = await this.#loads.load(this.#name, id)
    return { value: row, asOfMs: NO_PROOF, tier: 'source', stale: true }
  }
}
