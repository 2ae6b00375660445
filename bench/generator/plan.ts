// What the load generator is asked to do and what it answers: the two sides of the process boundary. Plain data.
import type { Protocol } from './reply-counter.ts'
import type { Command } from './requests.ts'

export interface Plan {
  readonly port: number
  readonly protocol: Protocol
  readonly command: Command
  readonly prefix: string
  readonly keys: number
  readonly valueBytes: number
  /** Requests sent at once on one connection. */
  readonly pipeline: number
  readonly clients: number
  readonly seed: number
  /**
   * fill: every key from `from` on once, in order. closed: `requests` over all connections, the next batch on each when the
   * last was answered. open: `rate` requests a second for `seconds`, each due at an instant that is fixed before.
   */
  readonly mode:
    | { readonly kind: 'fill'; readonly from: number }
    | { readonly kind: 'closed'; readonly requests: number }
    | { readonly kind: 'open'; readonly rate: number; readonly seconds: number }
}

export interface Outcome {
  readonly requests: number
  readonly seconds: number
  readonly misses: number
  /** Only of an open load. Milliseconds from when a request was due until its reply was whole. */
  readonly latency?: {
    readonly p50Ms: number
    readonly p99Ms: number
    readonly p999Ms: number
    readonly maxMs: number
    /** The longest answer to a PING on a connection of its own, one each millisecond. */
    readonly probeMaxMs: number
    /** The longest time in which the generator itself did not run: no pause below it can be told. */
    readonly generatorGapMs: number
    /** How late a request was sent, 99th percentile: the generator's part of p99Ms. */
    readonly sentLateP99Ms: number
  }
}
