// Every metric of a server, declared once with its help text. Counted by each thread in a row of its own and added up
// when read (base/metrics.ts); row 0 is the supervisor's. What the store counts itself is copied in before it is read.
import { Metrics, type MetricTable } from '../base/metrics.ts'
import { errorTable } from '../base/errors.ts'
import type { FillOutcome, PutOutcome } from '../coherence/operations.ts'
import type { TooLarge } from '../tier/tier.ts'

/** The first words of error replies that are counted by name; any other counts as the last. */
export const countedErrors: readonly string[] = [
  'ERR',
  'WRONGTYPE',
  'NOAUTH',
  'WRONGPASS',
  'NOPROTO',
  'OOM',
  ...Object.keys(errorTable),
  'other',
]

/** Upper bounds of the buckets of `tidemark_command_seconds`. */
export const commandSecondsBounds: readonly number[] = [
  0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
  0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

/** One of so many commands is timed: two readings of the clock would cost as much as a hit. A power of two. */
export const TIMED_EVERY = 16

export type MetricName =
  | 'tidemark_hits_total'
  | 'tidemark_misses_total'
  | 'tidemark_loads_total'
  | 'tidemark_load_errors_total'
  | 'tidemark_writes_total'
  | 'tidemark_evictions_total'
  | 'tidemark_expired_total'
  | 'tidemark_memory_used_bytes'
  | 'tidemark_memory_limit_bytes'
  | 'tidemark_entries'
  | 'tidemark_shard_wipes_total'
  | 'tidemark_connections'
  | 'tidemark_connections_total'
  | 'tidemark_connections_refused_total'
  | 'tidemark_protocol_errors_total'
  | 'tidemark_slow_subscribers_closed_total'
  | 'tidemark_commands_total'
  | 'tidemark_command_errors_total'
  | 'tidemark_command_seconds'
  | 'tidemark_error_replies_total'
  | 'tidemark_input_bytes_total'
  | 'tidemark_output_bytes_total'
  | 'tidemark_threads'
  | 'tidemark_thread_deaths_total'
  | 'tidemark_tier_calls_total'
  | 'tidemark_tier_call_errors_total'
  | 'tidemark_tier_hits_total'
  | 'tidemark_tier_misses_total'
  | 'tidemark_tier_fills_total'
  | 'tidemark_tier_puts_total'
  | 'tidemark_proof_age_seconds'
  | 'tidemark_lanes_unproved'
  | 'tidemark_tides_held'
  | 'tidemark_tide_lag_seconds'
  | 'tidemark_tide_changes_total'
  | 'tidemark_tide_change_wait_seconds_total'
  | 'tidemark_tide_mismatches_total'
  | 'tidemark_tide_retries_total'
  | 'tidemark_lane_resets_total'
  | 'tidemark_snapshots_total'
  | 'tidemark_snapshot_failures_total'
  | 'tidemark_snapshot_in_progress'
  | 'tidemark_snapshot_last_success_seconds'
  | 'tidemark_snapshot_last_failed'
  | 'tidemark_snapshot_seconds'
  | 'tidemark_snapshot_bytes'
  | 'tidemark_snapshot_records'
  | 'tidemark_snapshot_loaded_records'
  | 'tidemark_snapshot_loaded_expired'

/** What fills and puts of a tier come to. */
export const fillOutcomes: readonly (FillOutcome | TooLarge)[] = [
  'filled',
  'refused',
  'other-epoch',
  'no-lane',
  'too-large',
]
export const putOutcomes: readonly (PutOutcome | TooLarge)[] = [
  'stored',
  'late',
  'newer',
  'uncertain',
  'fenced',
  'other-epoch',
  'no-lane',
  'too-large',
]

const tierMetrics = {
  tidemark_tier_calls_total: { type: 'counter', help: 'Calls to the shared tier.' },
  tidemark_tier_call_errors_total: { type: 'counter', help: 'Calls to the shared tier that failed.' },
  tidemark_tier_hits_total: { type: 'counter', help: 'Rows that were looked for in the shared tier and found.' },
  tidemark_tier_misses_total: { type: 'counter', help: 'Rows that were looked for in the shared tier and not found.' },
  tidemark_tier_fills_total: {
    type: 'counter',
    help: 'Loaded rows given to the shared tier, by what came of it.',
    label: { name: 'outcome', values: fillOutcomes },
  },
  tidemark_tier_puts_total: {
    type: 'counter',
    help: 'Written rows given to the shared tier, by what came of it.',
    label: { name: 'outcome', values: putOutcomes },
  },
} as const

const tideMetrics = {
  tidemark_proof_age_seconds: {
    type: 'gauge',
    help: 'How long ago the instant is that the least fresh lane is proved as of, of those that are proved at all.',
  },
  tidemark_lanes_unproved: {
    type: 'gauge',
    help: 'Lanes that are not proved to be as fresh as any keyspace asks for.',
  },
  tidemark_tides_held: { type: 'gauge', help: 'Databases whose tide runs in this process.' },
  tidemark_tide_lag_seconds: {
    type: 'gauge',
    help: 'How long the oldest change waits that the tide of this process was told of and that is not in all lanes yet.',
  },
  tidemark_tide_changes_total: { type: 'counter', help: 'Changes that the tide of this process applied to lanes.' },
  tidemark_tide_change_wait_seconds_total: {
    type: 'counter',
    help: 'How long these changes waited between the log and their lane, added up.',
  },
  tidemark_tide_mismatches_total: {
    type: 'counter',
    help: 'Times that a lane was not where the tide had left it: a failover of the tier, or another tide.',
  },
  tidemark_tide_retries_total: { type: 'counter', help: 'Calls that the tide had to make again.' },
  tidemark_lane_resets_total: { type: 'counter', help: 'Lanes that this process began anew.' },
} as const

const snapshotMetrics = {
  tidemark_snapshots_total: { type: 'counter', help: 'Snapshots written.' },
  tidemark_snapshot_failures_total: { type: 'counter', help: 'Snapshots that could not be written.' },
  tidemark_snapshot_in_progress: { type: 'gauge', help: '1 while a snapshot is being written.' },
  tidemark_snapshot_last_success_seconds: {
    type: 'gauge',
    help: 'When the latest complete snapshot was begun, in seconds since 1970; 0 before the first.',
  },
  tidemark_snapshot_last_failed: { type: 'gauge', help: '1 when the latest snapshot could not be written.' },
  tidemark_snapshot_seconds: { type: 'gauge', help: 'How long the latest complete snapshot took.' },
  tidemark_snapshot_bytes: { type: 'gauge', help: 'Bytes of the latest complete snapshot.' },
  tidemark_snapshot_records: { type: 'gauge', help: 'Keys in the latest complete snapshot.' },
  tidemark_snapshot_loaded_records: { type: 'gauge', help: 'Keys that were loaded from a snapshot at the start.' },
  tidemark_snapshot_loaded_expired: { type: 'gauge', help: 'Keys in that snapshot whose time was over.' },
} as const

/** The table for a server with these commands. */
export function metricTable(commandNames: readonly string[]): Record<MetricName, MetricTable[string]> {
  const command = { name: 'command', values: commandNames }
  return {
    tidemark_hits_total: { type: 'counter', help: 'Keys that were read and found in memory.' },
    tidemark_misses_total: { type: 'counter', help: 'Keys that were read and not found in memory.' },
    tidemark_loads_total: { type: 'counter', help: 'Rows loaded from databases, missing rows included.' },
    tidemark_load_errors_total: { type: 'counter', help: 'Loads from databases that failed.' },
    tidemark_writes_total: { type: 'counter', help: 'Rows written to databases.' },
    tidemark_evictions_total: { type: 'counter', help: 'Records that left memory to make room.' },
    tidemark_expired_total: { type: 'counter', help: 'Records reclaimed because their time was over.' },
    tidemark_memory_used_bytes: { type: 'gauge', help: 'Bytes of the memory budget that hold records.' },
    tidemark_memory_limit_bytes: { type: 'gauge', help: 'The memory budget, in bytes.' },
    tidemark_entries: { type: 'gauge', help: 'Keys in memory.' },
    tidemark_shard_wipes_total: {
      type: 'counter',
      help: 'Shards emptied because a thread died while it wrote to them.',
    },
    tidemark_connections: { type: 'gauge', help: 'Connections that are open.' },
    tidemark_connections_total: { type: 'counter', help: 'Connections accepted.' },
    tidemark_connections_refused_total: { type: 'counter', help: 'Connections refused because too many were open.' },
    tidemark_protocol_errors_total: { type: 'counter', help: 'Connections closed because of a malformed request.' },
    tidemark_slow_subscribers_closed_total: {
      type: 'counter',
      help: 'Connections closed because they did not read the messages sent to them.',
    },
    tidemark_commands_total: { type: 'counter', help: 'Commands executed, by name.', label: command },
    tidemark_command_errors_total: { type: 'counter', help: 'Commands answered with an error.', label: command },
    tidemark_command_seconds: {
      type: 'histogram',
      help: `Time from a command's start to its reply, by name. One of ${TIMED_EVERY} commands is timed, so its count is a sample of tidemark_commands_total.`,
      label: command,
      bounds: commandSecondsBounds,
    },
    tidemark_error_replies_total: {
      type: 'counter',
      help: 'Error replies, by their first word.',
      label: { name: 'code', values: countedErrors },
    },
    tidemark_input_bytes_total: { type: 'counter', help: 'Bytes received from clients.' },
    tidemark_output_bytes_total: { type: 'counter', help: 'Bytes of replies given to the network.' },
    tidemark_threads: { type: 'gauge', help: 'Threads that serve.' },
    tidemark_thread_deaths_total: { type: 'counter', help: 'Threads that ended without being asked to.' },
    ...tierMetrics,
    ...tideMetrics,
    ...snapshotMetrics,
  }
}

export type ServerMetrics = Metrics<Record<MetricName, MetricTable[string]>>

/** Of `threads` rows this thread counts in number `thread`; 0 is the supervisor, and `buffer` is its, in the others. */
export function serverMetrics(
  commandNames: readonly string[],
  threads: number,
  thread: number,
  buffer?: SharedArrayBuffer,
): ServerMetrics {
  return new Metrics(metricTable(commandNames), threads, thread, buffer)
}

/**
 * The counters as INFO shows them: since the start, or since CONFIG RESETSTAT in any thread, which keeps the values of
 * that moment in shared memory. (Prometheus' counters are never set back.)
 */
export class Statistics {
  readonly baseline: SharedArrayBuffer
  readonly #metrics: ServerMetrics
  readonly #values: Float64Array<SharedArrayBuffer>
  readonly #first = new Map<MetricName, number>()
  readonly #counters: (readonly [name: MetricName, labelIndex: number])[] = []
  readonly #commands: number

  /** `baseline` is that of another thread; absent to make one. */
  constructor(metrics: ServerMetrics, commandNames: readonly string[], baseline?: SharedArrayBuffer) {
    this.#metrics = metrics
    for (const [name, definition] of Object.entries(metricTable(commandNames))) {
      if (definition.type !== 'counter') continue
      this.#first.set(name as MetricName, this.#counters.length)
      const labels = definition.label?.values.length ?? 1
      for (let index = 0; index < labels; index++) this.#counters.push([name as MetricName, index])
    }
    this.#commands = commandNames.length
    const slots = this.#counters.length + this.#commands * (commandSecondsBounds.length + 1)
    this.baseline = baseline ?? new SharedArrayBuffer(slots * 8)
    this.#values = new Float64Array(this.baseline)
  }

  total(name: MetricName, labelIndex = 0): number {
    return this.#metrics.total(name, labelIndex) - this.#values[this.#first.get(name)! + labelIndex]!
  }

  /** How many timed runs of a command took so long: one number for each of commandSecondsBounds, and of the longer ones. */
  commandSeconds(command: number): number[] {
    const first = this.#counters.length + command * (commandSecondsBounds.length + 1)
    const counts = this.#metrics.buckets('tidemark_command_seconds', command)
    return counts.map((count, bucket) => count - this.#values[first + bucket]!)
  }

  reset(): void {
    for (let command = 0, slot = this.#counters.length; command < this.#commands; command++) {
      for (const count of this.#metrics.buckets('tidemark_command_seconds', command)) this.#values[slot++] = count
    }
    for (const [slot, [name, labelIndex]] of this.#counters.entries()) {
      this.#values[slot] = this.#metrics.total(name, labelIndex)
    }
  }
}
