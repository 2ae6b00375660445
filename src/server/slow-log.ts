// The slow commands of one thread, newest first, and its latency events: what SLOWLOG and LATENCY tell. How long a command took
// is measured by the dispatcher: commands that are flagged fast or of constant time by sample (one of 16), all others,
// and those that wait for a database (until their reply), each time. Not for: the commands (commands/slow-log.ts), histograms (metrics.ts).
import { limits } from '../base/limits.ts'
import { LiveNumber, type LiveState } from './live-state.ts'

export interface SlowCommand {
  readonly id: number
  readonly wallSeconds: number
  readonly microseconds: number
  /** One character a byte. */
  readonly args: readonly string[]
  readonly address: string
  readonly name: string
}

export interface LatencySample {
  readonly event: string
  readonly wallSeconds: number
  readonly ms: number
}

const ARGUMENTS_SHOWN = 32
const ARGUMENT_BYTES_SHOWN = 128

interface Arguments {
  readonly argc: number
  readonly buffer: Buffer
  readonly start: Int32Array
  readonly end: Int32Array
}

/** The arguments as they are told: the first of them, cut. */
export function shownArguments({ argc, buffer, start, end }: Arguments): string[] {
  const shown: string[] = []
  const cut = argc > ARGUMENTS_SHOWN
  for (let i = 0; i < (cut ? ARGUMENTS_SHOWN - 1 : argc); i++) {
    const bytes = end[i]! - start[i]!
    const text = buffer.toString('latin1', start[i], start[i]! + Math.min(bytes, ARGUMENT_BYTES_SHOWN))
    shown.push(bytes > ARGUMENT_BYTES_SHOWN ? `${text}... (${bytes - ARGUMENT_BYTES_SHOWN} more bytes)` : text)
  }
  if (cut) shown.push(`... (${argc - ARGUMENTS_SHOWN + 1} more arguments)`)
  return shown
}

export class SlowLog {
  readonly #live: LiveState
  #commands: SlowCommand[] = []
  #samples: LatencySample[] = []

  constructor(live: LiveState) {
    this.#live = live
  }

  /** Whether a command that took so long is to be told of. */
  isSlow(ms: number): boolean {
    const { numbers } = this.#live
    const slowerThan = numbers[LiveNumber.slowerThan]!
    const latency = numbers[LiveNumber.latencyThreshold]!
    return (slowerThan >= 0 && ms * 1000 >= slowerThan) || (latency > 0 && ms >= latency)
  }

  add(ms: number, wallMs: number, command: Pick<SlowCommand, 'args' | 'address' | 'name'>, fast: boolean): void {
    const { numbers } = this.#live
    const wallSeconds = Math.floor(wallMs / 1000)
    const slowerThan = numbers[LiveNumber.slowerThan]!
    if (slowerThan >= 0 && ms * 1000 >= slowerThan) {
      this.#commands.unshift({
        id: this.#live.nextSlowId(),
        wallSeconds,
        microseconds: Math.round(ms * 1000),
        ...command,
      })
      this.#commands.length = Math.min(this.#commands.length, this.#max)
    }
    const latency = numbers[LiveNumber.latencyThreshold]!
    if (latency <= 0 || ms < latency) return
    this.#samples.push({ event: fast ? 'fast-command' : 'command', wallSeconds, ms: Math.round(ms) })
    if (this.#samples.length > limits.latencySamplesMax) this.#samples.shift()
  }

  get #max(): number {
    return Math.min(this.#live.numbers[LiveNumber.slowLogMax]!, limits.slowLogMax)
  }

  commands(): readonly SlowCommand[] {
    this.#commands.length = Math.min(this.#commands.length, this.#max)
    return this.#commands
  }

  samples(): readonly LatencySample[] {
    return this.#samples
  }

  reset(): void {
    this.#commands = []
  }

  /** Forgets samples of an event, or of all; the names of those there were. */
  resetLatency(events: readonly string[]): string[] {
    const concerns = (sample: LatencySample): boolean => events.length === 0 || events.includes(sample.event)
    const names = new Set(this.#samples.filter(concerns).map(({ event }) => event))
    this.#samples = this.#samples.filter(sample => !concerns(sample))
    return [...names]
  }
}
