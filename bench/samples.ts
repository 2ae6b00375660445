// What comes out of a run: raw samples, one for each measurement, and the whole report as it is written to a file.
import type { Machine } from './machine.ts'

export interface Sample {
  readonly scenario: string
  readonly server: string
  readonly command: string
  readonly round: number
  readonly requests: number
  readonly requestsPerSecond?: number
  /** Processor time of the server's whole process, by request. */
  readonly cpuMicroseconds?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  readonly p999Ms?: number
  readonly maxMs?: number
  readonly probeMaxMs?: number
  readonly generatorGapMs?: number
  readonly sentLateP99Ms?: number
  /** Resident memory of the process, by entry. */
  readonly bytesPerEntry?: number
  /** The same without what the process took when it was empty. */
  readonly addedBytesPerEntry?: number
  /** Allocated on the heaps of all threads, by request. */
  readonly garbageBytes?: number
}

export type Figure = Exclude<keyof Sample, 'scenario' | 'server' | 'command' | 'round' | 'requests'>

export interface Bar {
  readonly name: string
  readonly wanted: string
  readonly figure: string
  /** Undefined when what it takes was not measured. */
  readonly reached: boolean | undefined
}

export interface ServerReport {
  readonly benchmark: 'server'
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly settings: { readonly rounds: number; readonly seed: number; readonly pin: boolean; readonly smoke: boolean }
  readonly seconds: number
  /** What was not measured, and why. */
  readonly left: readonly string[]
  readonly bars: readonly Bar[]
  readonly samples: readonly Sample[]
}
