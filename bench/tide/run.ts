// One run of the tide's benchmark, as its stages see it.
import type { TideSample } from './sample.ts'
import type { TideScene } from './scene.ts'

export interface TideRun {
  readonly scene: TideScene
  readonly rounds: number
  readonly smoke: boolean
  /** Whether this stage was asked for. */
  wants(stage: string): boolean
  /** A whole number from 0 to below `below`, by the run's seed. */
  random(below: number): number
  keep(sample: TideSample): void
  /** One measurement is done. */
  progress(stage: string): void
}
