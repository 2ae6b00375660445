// How stale what was read truly was, as a distribution: milliseconds since the version had been superseded for certain.
// Not for: whether that was allowed (history.ts).

// Bucket i holds times up to edges[i]; the first, exactly 0, is what was not superseded at all.
const edges = [0, ...Array.from({ length: 140 }, (_, i) => 0.1 * 1.1 ** i)]

export class StalenessHistogram {
  readonly #counts = new Float64Array(edges.length + 1)
  #total = 0
  #max = 0

  get total(): number {
    return this.#total
  }

  get maxMs(): number {
    return this.#max
  }

  add(ms: number): void {
    this.#total++
    if (ms <= 0) {
      this.#counts[0]!++
      return
    }
    if (ms > this.#max) this.#max = ms
    const bucket = Math.max(1, Math.ceil(Math.log(ms / 0.1) / Math.log(1.1)) + 1)
    this.#counts[Math.min(bucket, edges.length)]!++
  }

  /** The share of reads that were not superseded when they were asked for. */
  get current(): number {
    return this.#total === 0 ? 1 : this.#counts[0]! / this.#total
  }

  /** At most so many milliseconds, to 10%, for this share of all reads. */
  quantile(share: number): number {
    let left = share * this.#total
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count
      if (left <= 0) return Math.min(edges[bucket] ?? this.#max, this.#max)
    }
    return this.#max
  }
}
