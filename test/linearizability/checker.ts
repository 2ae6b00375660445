// Whether what clients saw of a key can be put in one order, each operation at some instant between its call and its
// response (Herlihy and Wing 1990), and those of one client in the order of their calls. Wing and Gong's search, made just in
// time as in Lowe's "Testing for linearizability" (2017): events are taken in the order of time, and a pending operation
// takes effect only when the response of some operation asks for it. All that can have happened so far is a set of
// configurations, each kept once:
//
//   configuration = (state of the key, how many of each client's pending operations have taken effect)
//
// An operation that can leave no trace takes effect as soon as it can, which loses nothing. So memory depends on how many
// clients overlap, not on how long the history is. Keys are independent of each other, and checked one by one
// (linearizability is local).
// Not for: recording histories, and what operations mean (register.ts).
import { apply, IMPOSSIBLE, isTraceless } from './register.ts'
import type { Input, Output, State } from './register.ts'

export interface Operation extends Input {
  readonly key: string
  readonly client: number
  /** On one clock for all clients; of equal instants a call counts as before a response. */
  readonly call: number
  /**
   * Infinity: the response never came, and the operation may or may not have taken effect. Its output is what it would
   * have been, so it has to be an operation with only one (`set`).
   */
  readonly response: number
  readonly output: Output
}

export interface Verdict {
  readonly linearizable: boolean
  readonly operations: number
  /** The most configurations at one time. */
  readonly configurations: number
  /** The most operations of one key that overlapped. */
  readonly overlapping: number
  /** Of a history that is not linearizable: its key, and the end of its shortest prefix that is not. */
  readonly why?: string
}

interface Configuration {
  readonly state: State
  /** For each client's slot, how many of its pending operations have taken effect. */
  readonly done: readonly number[]
}

const CONFIGURATIONS_MAX = 500_000
const SHOWN = 12

function keyOf({ state, done }: Configuration): string {
  const counts = String.fromCharCode(...done)
  return state === null ? counts : `${counts}:${state}`
}

class KeyChecker {
  configurationsMost = 1
  overlappingMost = 0
  #configurations: readonly Configuration[] = [{ state: null, done: [] }]
  /** Of each client, what has been called and not responded, in order. */
  readonly #pending: Operation[][] = []
  readonly #slots = new Map<number, number>()
  #overlapping = 0

  called(operation: Operation): void {
    let slot = this.#slots.get(operation.client)
    if (slot === undefined) {
      slot = this.#slots.size
      this.#slots.set(operation.client, slot)
      this.#pending.push([])
      this.#configurations = this.#configurations.map(({ state, done }) => ({ state, done: [...done, 0] }))
    }
    this.#pending[slot]!.push(operation)
    this.overlappingMost = Math.max(this.overlappingMost, ++this.#overlapping)
  }

  /** False: there is no order in which all responses so far are right. */
  responded(operation: Operation): boolean {
    const slot = this.#slots.get(operation.client)!
    if (this.#pending[slot]![0] !== operation) throw new Error(`client ${operation.client} was answered out of order`)
    const after = new Map<string, Configuration>()
    const seen = new Set<string>()
    for (const configuration of this.#configurations) this.#reach(configuration, slot, after, seen)
    if (after.size === 0) return false
    this.#pending[slot]!.shift()
    this.#overlapping--
    this.#configurations = [...after.values()]
    this.configurationsMost = Math.max(this.configurationsMost, after.size)
    return true
  }

  /** Adds to `after` all that the configuration can become by letting pending operations take effect until `slot`'s has. */
  #reach(from: Configuration, slot: number, after: Map<string, Configuration>, seen: Set<string>): void {
    const open = [this.#withTraceless(from.state, [...from.done])]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at.done[slot]! > 0) {
        const rest = { state: at.state, done: at.done.with(slot, at.done[slot]! - 1) }
        after.set(keyOf(rest), rest)
        continue
      }
      for (const [client, operations] of this.#pending.entries()) {
        const operation = operations[at.done[client]!]
        if (operation === undefined) continue
        const state = apply(at.state, operation, operation.output)
        if (state === IMPOSSIBLE) continue
        const next = this.#withTraceless(state, at.done.with(client, at.done[client]! + 1))
        const key = keyOf(next)
        if (seen.has(key)) continue
        seen.add(key)
        open.push(next)
      }
      if (seen.size > CONFIGURATIONS_MAX) throw new Error('too much of a key overlaps to be checked')
    }
  }

  /** With all pending operations done that are next, leave no trace and are possible in this state. */
  #withTraceless(state: State, done: number[]): Configuration {
    for (const [client, operations] of this.#pending.entries()) {
      for (;;) {
        const operation = operations[done[client]!]
        if (operation === undefined || !isTraceless(operation, operation.output)) break
        if (apply(state, operation, operation.output) === IMPOSSIBLE) break
        done[client]!++
      }
    }
    return { state, done }
  }

  pending(): Operation[] {
    return this.#pending.flatMap(operations => operations.slice(0, SHOWN))
  }
}

interface Event {
  readonly at: number
  readonly operation: Operation
  readonly response: boolean
}

function eventsOf(operations: readonly Operation[]): Event[] {
  const events: Event[] = []
  for (const operation of operations) {
    events.push({ at: operation.call, operation, response: false })
    if (operation.response !== Infinity) events.push({ at: operation.response, operation, response: true })
  }
  return events.sort((a, b) => a.at - b.at || Number(a.response) - Number(b.response))
}

function written({ client, kind, argument, call, response, output }: Operation): string {
  return `  [${call}, ${response}] client ${client}: ${kind} ${argument.slice(0, 60)} -> ${String(output).slice(0, 60)}`
}

function explain(operation: Operation, before: readonly Operation[], pending: readonly Operation[]): string {
  return [
    `key ${operation.key}: no order of the operations explains this response:`,
    written(operation),
    'pending then:',
    ...pending.map(written),
    'responses before it:',
    ...before.slice(-SHOWN).map(written),
  ].join('\n')
}

function checkKey(operations: readonly Operation[]): Verdict {
  const checker = new KeyChecker()
  const answered: Operation[] = []
  let why: string | undefined
  for (const { operation, response } of eventsOf(operations)) {
    if (!response) checker.called(operation)
    else if (checker.responded(operation)) answered.push(operation)
    else {
      why = explain(operation, answered, checker.pending())
      break
    }
  }
  return {
    linearizable: why === undefined,
    operations: why === undefined ? operations.length : answered.length + 1,
    configurations: checker.configurationsMost,
    overlapping: checker.overlappingMost,
    ...(why === undefined ? {} : { why }),
  }
}

/** Checks a history of any keys, in any order. Every key is absent at its beginning. */
export function checkHistory(history: readonly Operation[]): Verdict {
  const keys = Map.groupBy(history, operation => operation.key)
  const verdicts = Array.from(keys.values(), checkKey)
  const why = verdicts.find(verdict => !verdict.linearizable)?.why
  return {
    linearizable: why === undefined,
    operations: verdicts.reduce((sum, verdict) => sum + verdict.operations, 0),
    configurations: Math.max(0, ...verdicts.map(verdict => verdict.configurations)),
    overlapping: Math.max(0, ...verdicts.map(verdict => verdict.overlapping)),
    ...(why === undefined ? {} : { why }),
  }
}
