// Numbers that a source's thread keeps where the supervisor can read them, for metrics and readiness: an array of doubles in
// shared memory, one for each source. Not for: decisions of the protocol.

const fields = [
  /** 1 while the tide runs in this process. */
  'tideHeld',
  /** Lanes begun anew, changes applied, lanes found elsewhere than left, and calls that had to be made again, since the start. */
  'resets',
  'changes',
  'mismatches',
  'retries',
  /** Milliseconds that changes waited between the log and their lane, added up. */
  'changeWaitMs',
  /** How long the oldest change waits that is not in all lanes yet; as of the latest heartbeat. */
  'lagMs',
  /** Monotonic ms of the database's latest answer; 0 before the first. */
  'answeredMs',
] as const

export type SourceGauge = (typeof fields)[number]

export class SourceGauges {
  readonly shared: SharedArrayBuffer
  readonly #values: Float64Array<SharedArrayBuffer>

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(fields.length * 8)) {
    this.shared = shared
    this.#values = new Float64Array(shared)
  }

  get(gauge: SourceGauge): number {
    return this.#values[fields.indexOf(gauge)]!
  }

  set(gauge: SourceGauge, value: number): void {
    this.#values[fields.indexOf(gauge)] = value
  }

  add(gauge: SourceGauge, amount: number): void {
    const at = fields.indexOf(gauge)
    this.#values[at] = this.#values[at]! + amount
  }
}
