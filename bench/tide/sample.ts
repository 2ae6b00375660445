// What comes out of a run of the tide's benchmark: raw samples, one for each round of a measurement, and the report as it is
// written to a file.
import type { Machine } from '../machine.ts'
import type { Bar } from '../samples.ts'

export interface TideSample {
  readonly stage: string
  /** What was measured: one of several that are compared, or the only one. */
  readonly series: string
  readonly round: number
  /** By name, with the unit in it. */
  readonly figures: Readonly<Record<string, number>>
}

export interface TideReport {
  readonly benchmark: 'tide'
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly settings: {
    readonly rounds: number
    readonly seed: number
    readonly smoke: boolean
    readonly unflushed: boolean
  }
  readonly seconds: number
  /** Of the minute before the run and of its last one: what else the machine had to do. */
  readonly loadAverage: readonly [before: number, after: number]
  /** What was not measured to the end, and why. */
  readonly left: readonly string[]
  readonly bars: readonly Bar[]
  readonly samples: readonly TideSample[]
}
