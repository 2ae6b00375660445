// Whether what clients saw of a key can be put in one order, each operation at some instant between its call and its
// response (Herlihy and Wing 1990). Wing and Gong's search, made just in time as in Lowe's "Testing for linearizability"
// (2017): events are taken in the order of time, and a pending operation takes effect only when the response of some
// operation asks for it. All that can have happened so far is a set of configurations, each kept once:
//
//   configuration = (state of the key, which of the pending operations have taken effect)
//
// so memory depends on how many operations overlap, not on how long the history is. Keys are independent of each other,
// and checked one by one (linearizability is local).
// Not for: recording histories, and what operations mean (register.ts).
import { apply, IMPOSSIBLE } from './register.ts'
import type { Input, Output, State } from './register.ts'

export interface Operation extends Input {
  readonly key: string
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
  /** Slots of the pending operations that have taken effect. */
  readonly done: number
}

const SLOTS = 30
const CONFIGURATIONS_MAX = 200_000
const SHOWN = 12

function keyOf({ state, done }: Configuration): string {
  return state === null ? `${done}` : `${done}:${state}`
}

class KeyChecker {
  configurationsMost = 1
  overlappingMost = 0
  #configurations: Configuration[] = [{ state: null, done: 0 }]
  readonly #pending: (Operation | undefined)[] = Array.from({ length: SLOTS })
  readonly #slots = new Map<Operation, number>()

  called(operation: Operation): void {
    const slot = this.#pending.indexOf(undefined)
    if (slot < 0) throw new Error(`more than ${SLOTS} operations of ${operation.key} at one time`)
    this.#pending[slot] = operation
    this.#slots.set(operation, slot)
    this.overlappingMost = Math.max(this.overlappingMost, this.#slots.size)
  }

  /** False: there is no order in which all responses so far are right. */
  responded(operation: Operation): boolean {
    const slot = this.#slots.get(operation)!
    const after = new Map<string, Configuration>()
    const seen = new Set<string>()
    for (const configuration of this.#configurations) this.#reach(configuration, slot, after, seen)
    this.#slots.delete(operation)
    this.#pending[slot] = undefined
    this.#configurations = [...after.values()]
    this.configurationsMost = Math.max(this.configurationsMost, after.size)
    if (seen.size + after.size > CONFIGURATIONS_MAX)
      throw new Error(`too much of ${operation.key} overlaps to be checked`)
    return after.size > 0
  }

  /** Adds to `after` all that the configuration can become by letting pending operations take effect, `slot` last. */
  #reach(from: Configuration, slot: number, after: Map<string, Configuration>, seen: Set<string>): void {
    const bit = 1 << slot
    if ((from.done & bit) !== 0) {
      const same = { state: from.state, done: from.done & ~bit }
      after.set(keyOf(same), same)
      return
    }
    const open = [from]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const [operation, other] of this.#slots) {
        if ((at.done & (1 << other)) !== 0) continue
        const state = apply(at.state, operation, operation.output)
        if (state === IMPOSSIBLE) continue
        const next = { state, done: other === slot ? at.done : at.done | (1 << other) }
        const key = keyOf(next)
        if (other === slot) after.set(key, next)
        else if (!seen.has(key)) {
          seen.add(key)
          open.push(next)
        }
      }
    }
  }

  pending(): Operation[] {
    return [...this.#slots.keys()]
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

function written({ kind, argument, call, response, output }: Operation): string {
  return `  [${call}, ${response}] ${kind} ${argument.slice(0, 60)} -> ${String(output).slice(0, 60)}`
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
