// Virtual time: everything that happens in a simulation is an event in one queue, and the time is that of the event that
// runs. Between two events all promises that can settle do, so that one seed is one run.
// Not for: what happens (the models), and clocks that processes read (machine.ts).

export interface Scheduled {
  readonly atMs: number
  readonly order: number
  /** undefined once it ran or was cancelled. */
  callback: (() => void) | undefined
}

function before(a: Scheduled, b: Scheduled): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.order < b.order
}

/** A seed has some thousands of events, a schedule some tens of thousands: whatever goes on for ever ends with an error. */
const EVENTS_MAX = 1_000_000
/** The same where no time passes meanwhile. */
const EVENTS_AT_ONE_INSTANT_MAX = 20_000

export class VirtualTime {
  /** Milliseconds since the beginning. */
  nowMs = 0
  /** Events that ran. */
  events = 0
  readonly #heap: Scheduled[] = []
  #order = 0
  #eventsNow = 0
  #stopped = false

  after(delayMs: number, callback: () => void): Scheduled {
    const event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#push(event)
    return event
  }

  /** Nothing more happens. */
  stop(): void {
    this.#stopped = true
  }

  /** Runs what is due until then, or until `stop`. Rejects with what an event throws. */
  run(untilMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const step = (): void => {
      const event = this.#stopped ? undefined : this.#pop(untilMs)
      if (event === undefined) {
        if (!this.#stopped) this.nowMs = untilMs
        resolve()
        return
      }
      if (event.atMs > this.nowMs) this.#eventsNow = 0
      if (++this.#eventsNow > EVENTS_AT_ONE_INSTANT_MAX || this.events >= EVENTS_MAX) {
        reject(new Error(`it never ends: ${this.#eventsNow} events at ${this.nowMs} ms, ${this.events} in all`))
        return
      }
      this.nowMs = event.atMs
      this.events++
      try {
        event.callback!()
      } catch (error) {
        reject(error)
        return
      }
      // A tick that is set up from a microtask runs once no microtask is left.
      queueMicrotask(next)
    }
    const next = (): void => process.nextTick(step)
    next()
    return promise
  }

  #push(event: Scheduled): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
  }

  #pop(untilMs: number): Scheduled | undefined {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined) return undefined
      if (first.callback !== undefined && first.atMs > untilMs) return undefined
      const last = this.#heap.pop()!
      if (last !== first) this.#sink(last)
      if (first.callback !== undefined) return first
    }
  }

  #sink(event: Scheduled): void {
    const heap = this.#heap
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, event)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = event
  }
}
