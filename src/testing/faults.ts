// Faults of calls, as a test says them: the next so many fail, are held, are slow, or answer late. Each fault is for all calls or for
// those of one name, for so many of them or until it is ended; several hold at once, in the order in which they were given.
// Not for: what is called (faulty-source.ts, faulty-tier.ts); faults by chance, which no test should depend on.
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { parseDuration, type Duration } from '../config/units.ts'

export interface FaultOptions<Name extends string> {
  /** The calls that it befalls: all unless said otherwise. */
  readonly on?: Name | undefined
  /** How many calls, from the next one on. */
  readonly times?: number | undefined
}

export interface FailOptions<Name extends string> extends Pick<FaultOptions<Name>, 'on'> {
  /** What is thrown. */
  readonly error?: unknown
  /** The call does its work first: who made it does not know that it did. */
  readonly after?: boolean | undefined
}

export interface FaultyCall<Name extends string> {
  readonly name: Name
  /** The ids of a source, the keys of a tier; none where a call is about a lane. */
  readonly keys: readonly string[]
  /** Of a source's call. */
  readonly signal: AbortSignal | undefined
}

interface Fault {
  readonly on: string | undefined
  left: number
  readonly before?: () => Promise<void>
  readonly after?: () => Promise<void>
  readonly change?: (answer: unknown) => unknown
}

/** Ends a fault; whatever it holds goes on. Called again it does nothing. */
export type EndFault = () => void

export abstract class Faults<Name extends string> {
  readonly #clock: Clock
  readonly #failure: () => unknown
  readonly #calls: FaultyCall<Name>[] = []
  readonly #releases = new Set<() => void>()
  #faults: readonly Fault[] = []

  /** `failure` makes what is thrown where the test does not say what. */
  constructor(clock: Clock, failure: () => unknown) {
    this.#clock = clock
    this.#failure = failure
  }

  /** All calls so far, in the order in which they were made, those that failed among them. */
  get calls(): readonly FaultyCall<Name>[] {
    return this.#calls
  }

  /** How many calls there were. */
  count(name?: Name): number {
    return this.#calls.filter(call => name === undefined || call.name === name).length
  }

  /** The next `times` calls fail; Infinity: all of them, until it is ended. */
  fail(times = 1, options: FailOptions<Name> = {}): EndFault {
    const { on, after = false } = options
    const fails = (): Promise<void> =>
      Promise.reject('error' in options ? (options.error as Error) : (this.#failure() as Error))
    return this.#add({ on, left: times, ...(after ? { after: fails } : { before: fails }) })
  }

  /** Calls begin so much later. */
  delay(by: Duration, options: FaultOptions<Name> = {}): EndFault {
    const ms = delayOf(by)
    return this.#add({ ...limitsOf(options), before: () => sleep(this.#clock, ms) })
  }

  /** Calls do their work at once, and answer so much later: with what was so then. */
  late(by: Duration, options: FaultOptions<Name> = {}): EndFault {
    const ms = delayOf(by)
    return this.#add({ ...limitsOf(options), after: () => sleep(this.#clock, ms) })
  }

  /** Calls hang, before they begin, or with `after` before they answer. Who ends it lets them go on. */
  hang(options: FaultOptions<Name> & Pick<FailOptions<Name>, 'after'> = {}): EndFault {
    const { promise, resolve } = Promise.withResolvers<void>()
    const held = (): Promise<void> => promise
    const end = this.#add({ ...limitsOf(options), ...(options.after === true ? { after: held } : { before: held }) })
    const release = (): void => {
      end()
      this.#releases.delete(release)
      resolve()
    }
    this.#releases.add(release)
    return release
  }

  /** Ends all faults, and lets go on whatever hangs. What is slow is still slow. */
  heal(): void {
    this.#faults = []
    for (const release of this.#releases) release()
  }

  protected changed(change: (answer: unknown) => unknown, options: FaultOptions<Name>): EndFault {
    return this.#add({ ...limitsOf(options), change })
  }

  /** What `ask` answers, after all that befalls it. */
  protected async called<T>(call: FaultyCall<Name>, ask: () => T | Promise<T>): Promise<T> {
    this.#calls.push(call)
    const faults = this.#faults.filter(({ on }) => on === undefined || on === call.name)
    for (const fault of faults) fault.left--
    this.#faults = this.#faults.filter(({ left }) => left > 0)
    for (const { before } of faults) await before?.()
    let answer: unknown = await ask()
    for (const { change } of faults) if (change !== undefined) answer = change(answer)
    for (const { after } of faults) await after?.()
    return answer as T
  }

  #add(fault: Fault): EndFault {
    if (!(fault.left > 0)) throw new TidemarkError('OPTION_INVALID', `a fault befalls ${fault.left} calls: 1 or more`)
    this.#faults = [...this.#faults, fault]
    return () => {
      this.#faults = this.#faults.filter(each => each !== fault)
    }
  }
}

function limitsOf<Name extends string>({ on, times }: FaultOptions<Name>): Pick<Fault, 'on' | 'left'> {
  return { on, left: times ?? Infinity }
}

function delayOf(by: Duration): number {
  const ms = typeof by === 'string' ? parseDuration(by) : by
  if (ms !== undefined) return ms
  throw new TidemarkError('OPTION_INVALID', `a delay is ${JSON.stringify(by)}; allowed is a duration such as '500ms'`)
}
