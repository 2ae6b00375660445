// Asks a source for its position again and again: from these samples and the lanes' marks follows how fresh everything is.
// One of them runs in every node, for every source with a log. Whatever keeps it from asking makes proofs older, never
// wrong: the time of a sample is taken before the question, and a suspended machine drops them all.
// Not for: what the samples prove (coherence/freshness.ts).
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { addSample, type Sample } from '../coherence/freshness.ts'
import type { LaneProof, Proofs } from './proofs.ts'
import type { Source } from '../source/source.ts'
import { SuspendWatch } from './suspend-watch.ts'

export interface SamplerOptions {
  readonly source: Pick<Source, 'position'>
  readonly clock: Clock
  /** Given all samples, after each new one and when they were dropped: for the near cache to prove with. */
  readonly onSamples?: (samples: readonly Sample[]) => void
}

export class Sampler implements Proofs {
  readonly #source: Pick<Source, 'position'>
  readonly #clock: Clock
  readonly #onSamples: (samples: readonly Sample[]) => void
  readonly #watch: SuspendWatch
  #samples: readonly Sample[] = []
  #timer: Timer | undefined
  #running = false
  /** Counts questions, so that the answer to one that was given up is not taken for another's. */
  #asked = 0

  constructor(options: SamplerOptions) {
    this.#source = options.source
    this.#clock = options.clock
    this.#onSamples = options.onSamples ?? (() => {})
    this.#watch = new SuspendWatch(options.clock)
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    this.#ask()
  }

  stop(): void {
    this.#running = false
    this.#asked++
    this.#timer?.cancel()
  }

  known(): LaneProof | undefined {
    return undefined
  }

  /** Those that count now: none of before a suspension. */
  samples(): readonly Sample[] {
    this.#dropAfterJump()
    return this.#samples
  }

  #dropAfterJump(): void {
    if (!this.#watch.jumped(this.#clock.monotonicMs(), this.#clock.wallMs())) return
    this.#samples = []
    this.#onSamples(this.#samples)
  }

  // Asks, and again: when there is an answer, and no sooner than the period says; without one, after the time-out.
  #ask(): void {
    const question = ++this.#asked
    this.#dropAfterJump()
    const takenAtMs = this.#clock.monotonicMs()
    this.#timer = this.#clock.timer(limits.sampleTimeoutMs, () => this.#ask(), { unref: true })
    void this.#answer(question, takenAtMs)
  }

  async #answer(question: number, takenAtMs: number): Promise<void> {
    let sample: Sample | undefined
    try {
      sample = { takenAtMs, ...(await this.#source.position()) }
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
    }
    if (question !== this.#asked) return
    if (sample !== undefined) this.#take(sample)
    this.#timer?.cancel()
    const waitMs = Math.max(0, takenAtMs + limits.sampleEveryMs - this.#clock.monotonicMs())
    this.#timer = this.#clock.timer(waitMs, () => this.#ask(), { unref: true })
  }

  #take(sample: Sample): void {
    this.#dropAfterJump()
    // The suspension may have come between question and answer.
    if (sample.takenAtMs < this.#watch.trustedFromMs) return
    this.#samples = addSample(this.#samples, sample)
    this.#onSamples(this.#samples)
  }
}
