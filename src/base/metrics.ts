// Metrics: declared once, in a table with help text; counted by each thread in a row of its own of one shared buffer (so
// that counting is an addition, without atomics); added up when read. Prometheus text comes from here (format 0.0.4).
// Not for: exporting to OpenTelemetry, which reads the same table.
//
//   buffer: [ thread 0: slot 0, slot 1, ... | thread 1: ... ]   Float64 each
//   counter, gauge: one slot a label value; histogram: a slot for each bound, one for +Inf, one for the sum

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Name and all values of the metric's one label, when it has one. */
  readonly label?: { readonly name: string; readonly values: readonly string[] }
  /** Upper bounds of a histogram's buckets, ascending, in the metric's unit. */
  readonly bounds?: readonly number[]
}

export type MetricTable = Readonly<Record<string, MetricDefinition>>

interface Placed {
  readonly definition: MetricDefinition
  readonly first: number
  readonly width: number
}

function widthOf(definition: MetricDefinition): number {
  return definition.type === 'histogram' ? definition.bounds!.length + 2 : 1
}

export class Metrics<Table extends MetricTable> {
  readonly buffer: SharedArrayBuffer
  readonly #placed = new Map<string, Placed>()
  readonly #rows: Float64Array<SharedArrayBuffer>
  readonly #rowSlots: number
  readonly #threads: number
  readonly #row: number

  /** `thread` in [0, threads) owns a row; `buffer` is another thread's `metrics.buffer`, or absent to make one. */
  constructor(table: Table, threads: number, thread: number, buffer?: SharedArrayBuffer) {
    let slots = 0
    for (const [name, definition] of Object.entries(table)) {
      const width = widthOf(definition)
      this.#placed.set(name, { definition, first: slots, width })
      slots += width * (definition.label?.values.length ?? 1)
    }
    this.#rowSlots = slots
    this.#threads = threads
    this.#row = thread * slots
    this.buffer = buffer ?? new SharedArrayBuffer(slots * threads * 8)
    this.#rows = new Float64Array(this.buffer)
  }

  #slot(name: keyof Table & string, labelIndex: number): number {
    const placed = this.#placed.get(name)!
    return placed.first + labelIndex * placed.width
  }

  /** Adds to this thread's count. `labelIndex` is the position of the label's value in the table. */
  add(name: keyof Table & string, amount: number, labelIndex = 0): void {
    const slot = this.#row + this.#slot(name, labelIndex)
    this.#rows[slot] = this.#rows[slot]! + amount
  }

  set(name: keyof Table & string, value: number, labelIndex = 0): void {
    this.#rows[this.#row + this.#slot(name, labelIndex)] = value
  }

  observe(name: keyof Table & string, value: number, labelIndex = 0, times = 1): void {
    const { definition } = this.#placed.get(name)!
    const slot = this.#row + this.#slot(name, labelIndex)
    const bounds = definition.bounds!
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    this.#rows[slot + bucket] = this.#rows[slot + bucket]! + times
    const sum = slot + bounds.length + 1
    this.#rows[sum] = this.#rows[sum]! + value * times
  }

  /**
   * A view of this thread's slots of a counter, for hot paths: `view[labelIndex]++`. Only the owner of the row may
   * write to it.
   */
  counterView(name: keyof Table & string): Float64Array<SharedArrayBuffer> {
    const placed = this.#placed.get(name)!
    const length = placed.definition.label?.values.length ?? 1
    return this.#rows.subarray(this.#row + placed.first, this.#row + placed.first + length)
  }

  /** The sum over all threads. */
  total(name: keyof Table & string, labelIndex = 0): number {
    return this.#sum(this.#slot(name, labelIndex))
  }

  #sum(slot: number): number {
    let total = 0
    for (let thread = 0; thread < this.#threads; thread++) total += this.#rows[thread * this.#rowSlots + slot]!
    return total
  }

  /** How many observations each bucket of a histogram has, and last those over all bounds; over all threads. */
  buckets(name: keyof Table & string, labelIndex = 0): number[] {
    const slot = this.#slot(name, labelIndex)
    const { bounds } = this.#placed.get(name)!.definition
    return Array.from({ length: bounds!.length + 1 }, (_, bucket) => this.#sum(slot + bucket))
  }

  /** Number and sum of a histogram's observations, over all threads. */
  observed(name: keyof Table & string, labelIndex = 0): { count: number; sum: number } {
    const slot = this.#slot(name, labelIndex)
    const buckets = this.#placed.get(name)!.definition.bounds!.length + 1
    let count = 0
    for (let bucket = 0; bucket < buckets; bucket++) count += this.#sum(slot + bucket)
    return { count, sum: this.#sum(slot + buckets) }
  }

  /** All metrics in Prometheus' text format. Label values that never counted are left out. */
  prometheus(): string {
    const lines: string[] = []
    for (const [name, { definition, first, width }] of this.#placed) {
      lines.push(`# HELP ${name} ${definition.help}`, `# TYPE ${name} ${definition.type}`)
      const labels = definition.label?.values ?? ['']
      for (const [index, value] of labels.entries()) {
        const label = definition.label === undefined ? '' : `${definition.label.name}="${value}"`
        const slot = first + index * width
        if (definition.type === 'histogram') this.#histogramLines(lines, name, label, definition.bounds!, slot)
        else {
          const total = this.#sum(slot)
          if (label === '' || total !== 0) lines.push(`${name}${label === '' ? '' : `{${label}}`} ${total}`)
        }
      }
    }
    return lines.join('\n') + '\n'
  }

  #histogramLines(lines: string[], name: string, label: string, bounds: readonly number[], slot: number): void {
    let count = 0
    const rows: string[] = []
    const prefix = label === '' ? '' : `${label},`
    for (let bucket = 0; bucket <= bounds.length; bucket++) {
      count += this.#sum(slot + bucket)
      rows.push(`${name}_bucket{${prefix}le="${bounds[bucket] ?? '+Inf'}"} ${count}`)
    }
    if (count === 0 && label !== '') return
    const suffix = label === '' ? '' : `{${label}}`
    lines.push(
      ...rows,
      `${name}_sum${suffix} ${this.#sum(slot + bounds.length + 1)}`,
      `${name}_count${suffix} ${count}`,
    )
  }
}
