// The circuit breakers of a process: one for each source, shared by the keyspaces of it that ask for one. What fails is the
// source; a keyspace that notices spares the others.
// Not for: when one opens (breaker.ts), and what passes through it (guarded-source.ts).
import { Breaker, type BreakerSettings } from './breaker.ts'
import { invalid } from './option-checks.ts'

export class SourceBreaker extends Breaker {
  /** What the source failed with last. */
  last: unknown
}

interface Claimed {
  /** The first one that asked for it. */
  readonly keyspace: string
  readonly settings: BreakerSettings
  readonly breaker: SourceBreaker
}

export class Breakers {
  readonly #bySource = new Map<object, Claimed>()
  readonly #byKeyspace = new Map<string, SourceBreaker>()

  /**
   * The keyspace has the source's breaker from when the function returned is called. Throws OPTION_INVALID where a keyspace of
   * the same source has other settings.
   */
  claim(keyspace: string, source: object, settings: BreakerSettings): () => void {
    const known = this.#bySource.get(source)
    if (known !== undefined && !isSame(known.settings, settings)) {
      const allowed = `${shown(known.settings)}, as keyspace '${known.keyspace}' has it: their source is one, and so is its breaker`
      throw invalid(`keyspace '${keyspace}': load.breaker`, shown(settings), allowed)
    }
    const claimed = known ?? { keyspace, settings, breaker: new SourceBreaker(settings) }
    return () => {
      this.#bySource.set(source, claimed)
      this.#byKeyspace.set(keyspace, claimed.breaker)
    }
  }

  /** undefined: the keyspace asked for none. */
  of(keyspace: string): SourceBreaker | undefined {
    return this.#byKeyspace.get(keyspace)
  }
}

function isSame(a: BreakerSettings, b: BreakerSettings): boolean {
  return a.failures === b.failures && a.halfOpenAfterMs === b.halfOpenAfterMs
}

function shown({ failures, halfOpenAfterMs }: BreakerSettings): string {
  return `failures ${failures}, halfOpenAfter ${halfOpenAfterMs} ms`
}
