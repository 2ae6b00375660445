// Users of the library's own calls: values out of memory before the call returns, and counters that are raised by one. What they
// are answered is held against the same history as all other reads. Not for: calls that servers have too (clients.ts).
import type { Asked } from './checker.ts'
import type { Clients } from './clients.ts'
import type { LibraryNode } from './library-node.ts'
import type { LibraryKind } from './library-plan.ts'
import type { SimProcess } from './machine.ts'
import type { Node } from './node.ts'
import type { Value } from './truth.ts'
import type { World } from './world.ts'

/** Before the first: a number that nothing else writes. */
export const COUNT_FROM = 1_000_000_000

export class LibraryClients {
  readonly #world: World
  readonly #clients: Clients
  #begun = 0
  #acknowledged = 0
  readonly #underWay = new Map<SimProcess, number>()

  constructor(world: World, clients: Clients) {
    this.#world = world
    this.#clients = clients
  }

  /** The counter is still being raised: those of one process go one after another. */
  get areCounting(): boolean {
    return [...this.#underWay].some(([process, count]) => process.alive && count > 0)
  }

  begin(kind: LibraryKind, dice: readonly number[]): void {
    const { nodes, keys, counter } = this.#world
    const key = keys[Math.floor(dice[1]! * keys.length)]!
    if (kind === 'counter read') {
      const node = nodes[Math.floor(dice[0]! * nodes.length)]!
      node.process.enter(() => this.#clients.read(node, counter, {}, undefined))
      return
    }
    const having = nodes.filter(node => node.library !== undefined)
    const node = having[Math.floor(dice[0]! * having.length)]
    const library = node?.library
    if (node === undefined || library === undefined) return
    // Now and then a key that is not only asked for by chance.
    const asked = dice[2]! < 0.2 ? counter : key
    node.process.enter(() => {
      if (kind === 'library peek') peekAt(this.#world, library, this.#asked(node, asked))
      else if (kind === 'library get') getFrom(this.#world, library, this.#asked(node, asked))
      else this.#count(node, library)
    })
  }

  /** No increment was lost: each commit counts one more than the one before, and there are as many as were acknowledged. */
  settled(): void {
    const { truth, counter } = this.#world
    const [first, ...others] = truth.history(counter)
    let before = first!.value
    let steps = 0
    for (const { value, sinceMs, tookOver } of others) {
      if (!tookOver) {
        steps++
        const expected = (before ?? COUNT_FROM) + 1
        if (value !== expected) this.#lost(`${counter} became ${value} at ${sinceMs.toFixed(2)}, not ${expected}`)
        this.#world.count('checked: increment')
      }
      before = value
    }
    const [acknowledged, begun] = [this.#acknowledged, this.#begun]
    if (steps < acknowledged || steps > begun) {
      this.#lost(`${counter} was raised ${steps} times: ${acknowledged} of ${begun} increments were acknowledged`)
    }
  }

  #lost(what: string): void {
    this.#world.violated(`an update is lost: ${what}`)
  }

  #count(node: Node, library: LibraryNode): void {
    const world = this.#world
    const calledMs = world.time.nowMs
    this.#begun++
    const { process } = node
    const under = (by: number): void => void this.#underWay.set(process, (this.#underWay.get(process) ?? 0) + by)
    under(1)
    library.count(world.counter, COUNT_FROM).then(
      value => {
        under(-1)
        this.#acknowledged++
        world.say(() => `${node.name} raised ${world.counter} to ${value}`)
        world.checker.acknowledged(node, world.counter, value, calledMs, undefined, undefined, undefined)
      },
      (error: unknown) => {
        under(-1)
        world.broken('write', error)
      },
    )
  }

  #asked(node: Node, key: string): Asked {
    return this.#clients.asked(node, key, {}, undefined)
  }
}

/** What is in memory is answered before the call returns, or not at all. */
function peekAt(world: World, library: LibraryNode, asked: Asked): void {
  const value = library.peek(asked.key)
  if (value === undefined) world.count('library peek: nothing')
  else hitAtOnce(world, asked, value)
}

/** A read without options. */
export function getFrom(world: World, library: LibraryNode, asked: Asked): void {
  const { atOnce, answer } = library.get(asked.key)
  answer.then(
    value => {
      if (atOnce) hitAtOnce(world, asked, value)
      else answeredLater(world, asked, value)
    },
    (error: unknown) => world.broken('read', error),
  )
}

/** A hit says nothing of its age: it is as of the bound before now, at the earliest. */
function hitAtOnce(world: World, asked: Asked, value: Value): void {
  world.count('library read')
  world.count('library read at once')
  if (asked.node.ownSlot !== undefined) world.count('alone: read at once')
  world.say(() => `${asked.node.name} has ${asked.key}: ${value} in memory`)
  const asOfMs = world.time.nowMs - asked.boundMs
  world.checker.answered(asked, { value, asOfMs, tier: 'near', stale: false, session: undefined })
}

function answeredLater(world: World, asked: Asked, value: Value): void {
  world.count('library read')
  world.say(() => `${asked.node.name} got ${asked.key}: ${value}`)
  // A load that took longer than the bound is as of the call.
  const asOfMs = Math.min(asked.calledMs, world.time.nowMs - asked.boundMs)
  world.checker.answered(asked, { value, asOfMs, tier: 'untold', stale: false, session: undefined })
}
