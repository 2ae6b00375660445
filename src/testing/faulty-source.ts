// A user's own functions, with faults that a test gives them: they fail, hang, are slow, answer late, or answer something else than
// was asked for. Not for: databases, whose faults are their own.
import type { Clock } from '../base/clock.ts'
import type { FunctionContext, LoadedValues } from '../source/function-calls.ts'
import type { SourceFunctions } from '../source/functions-source.ts'
import { Faults, type EndFault, type FaultOptions } from './faults.ts'

export type SourceCall = 'load' | 'store' | 'remove'

export interface FaultySourceOptions {
  /** What delays are counted on: the one of the cache under test. */
  readonly clock: Clock
}

export class FaultySource<V = unknown> extends Faults<SourceCall> implements SourceFunctions<V> {
  readonly load: (ids: readonly string[], context: FunctionContext) => Promise<LoadedValues<V>>
  /** Where the functions have it. */
  readonly store?: (entries: ReadonlyMap<string, V>, context: FunctionContext) => Promise<void>
  readonly remove?: (ids: readonly string[], context: FunctionContext) => Promise<void>

  constructor(functions: SourceFunctions<V>, { clock }: FaultySourceOptions) {
    super(clock, () => new Error('the source fails: the test said so'))
    this.load = (ids, context) => {
      const call = { name: 'load', keys: ids, signal: context.signal } as const
      return this.called(call, () => functions.load(ids, context))
    }
    if (functions.store !== undefined) {
      this.store = (entries, context) => {
        const call = { name: 'store', keys: [...entries.keys()], signal: context.signal } as const
        return this.called(call, () => functions.store!(entries, context))
      }
    }
    if (functions.remove !== undefined) {
      this.remove = (ids, context) => {
        const call = { name: 'remove', keys: ids, signal: context.signal } as const
        return this.called(call, () => functions.remove!(ids, context))
      }
    }
  }

  /**
   * `load` answers what `change` makes of what it found: values for ids that nobody asked for, too few of them, or something that
   * is no answer at all.
   */
  answer(change: (found: Map<string, V>) => unknown, options: Pick<FaultOptions<SourceCall>, 'times'> = {}): EndFault {
    return this.changed(answer => change(mapOf(answer as LoadedValues<V>)), { ...options, on: 'load' })
  }
}

/** The functions, as they are until a test says otherwise; to be given as a keyspace's `source`. */
export function faultySource<V>(functions: SourceFunctions<V>, options: FaultySourceOptions): FaultySource<V> {
  return new FaultySource(functions, options)
}

function mapOf<V>(answer: LoadedValues<V>): Map<string, V> {
  const isListed = answer instanceof Map || Array.isArray(answer)
  const entries = (isListed ? [...answer] : Object.entries(answer)) as [string, V | undefined][]
  return new Map(entries.filter((entry): entry is [string, V] => entry[1] !== undefined))
}
