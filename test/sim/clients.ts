// Users of the nodes: they read and write through the product's own reader and writer, or its library, some of them in sessions
// that move from node to node. Every answer goes to the checker. Not for: calls that only the library has (library-clients.ts).
import type { ReadOptions } from '../../src/cache/reader.ts'
import type { CacheWrite } from '../../src/cache/writer.ts'
import type { Asked, Session, Told } from './checker.ts'
import { getFrom } from './library-clients.ts'
import type { Node } from './node.ts'
import type { ClientKind } from './plan.ts'
import { PLAIN, rowOf } from './row.ts'
import type { Value } from './truth.ts'
import type { World } from './world.ts'

export class Clients {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  begin(kind: ClientKind, dice: readonly number[]): void {
    const { nodes, keys, sessions } = this.#world
    const node = nodes[Math.floor(dice[0]! * nodes.length)]!
    const key = keys[Math.floor(dice[1]! * keys.length)]!
    const session = sessions[Math.floor(dice[2]! * sessions.length)]!
    // A process that is stopped gets to it when it goes on.
    node.process.enter(() => {
      if (kind === 'write') this.write(node, [key], undefined, false)
      else if (kind === 'remove') this.write(node, [key], undefined, true)
      else if (kind === 'session write') this.write(node, [key], session, dice[3]! < 0.2)
      else if (kind === 'write several') this.write(node, [...this.#several(dice[3]!), key], undefined, false)
      else if (kind === 'read' && node.library !== undefined && dice[4]! < 0.5)
        getFrom(this.#world, node.library, this.asked(node, key, {}, undefined))
      else this.read(node, key, this.#optionsOf(kind, dice[3]!), kind === 'session read' ? session : undefined)
    })
  }

  #optionsOf(kind: ClientKind, die: number): ReadOptions {
    if (kind === 'strong read') return { maxStalenessMs: 0 }
    if (kind === 'patient read') {
      const { old } = this.#world.config.library ?? {}
      return { maxStalenessMs: old === undefined ? 5_000 : die * 3_000 }
    }
    if (kind === 'stale read') return { maxStalenessMs: die * 200, whenStale: 'serve' }
    return {}
  }

  #several(die: number): string[] {
    const { keys } = this.#world
    return keys.filter((_, index) => Math.floor(die * 2 ** keys.length) & (1 << index))
  }

  /** A read as it is called now. */
  asked(node: Node, key: string, options: ReadOptions, session: Session | undefined): Asked {
    const world = this.#world
    return {
      node,
      key,
      boundMs: options.maxStalenessMs ?? world.config.maxStalenessMs,
      old: oldFor(options, session !== undefined),
      calledMs: world.time.nowMs,
      session,
      ticket: session?.ticket,
      seen: session === undefined ? undefined : new Map(session.seen),
      isolatedSource: (sinceMs: number) => world.isolated.size > 0 || world.isolatedUntilMs >= sinceMs,
    }
  }

  read(node: Node, key: string, options: ReadOptions, session: Session | undefined): void {
    const world = this.#world
    const asked = this.asked(node, key, options, session)
    const withTicket = session?.ticket === undefined ? options : { ...options, session: session.ticket }
    node.read(key, withTicket, session !== undefined).then(
      told => {
        world.say(() => `${node.name} read ${key}: ${told.value} from ${told.tier}`)
        if (node.library !== undefined) world.count('library read')
        world.checker.answered(asked, { ...told, asOfMs: this.#asOf(asked, told) })
      },
      (error: unknown) => world.broken('read', error),
    )
  }

  /** An answer of the database that does not know its age is as of the call, or of the bound. */
  #asOf(asked: Asked, { asOfMs, tier, stale }: Told): number {
    if (asOfMs !== -Infinity || stale || tier !== 'source') return asOfMs
    return Math.min(asked.calledMs, this.#world.time.nowMs - asked.boundMs)
  }

  write(node: Node, keys: readonly string[], session: Session | undefined, remove: boolean): void {
    const world = this.#world
    const calledMs = world.time.nowMs
    const called = session?.ticket
    const values = new Map<string, Value>()
    const writes: CacheWrite[] = keys.map(key => {
      const value = remove ? null : world.newValue()
      values.set(key, value)
      const row = rowOf(key.slice(key.indexOf(':') + 1), value)
      return { key, operation: row === null ? { kind: 'remove' } : { kind: 'replace', row } }
    })
    node.write(writes, called).then(
      ticket => {
        world.say(() => `${node.name} wrote ${[...values].join('; ')}`)
        for (const [key, value] of values) {
          // What a known trigger made of it, nobody is told.
          if (!key.startsWith(`${PLAIN}:`) && !remove) continue
          world.checker.acknowledged(node, key, value, calledMs, session, called, ticket)
        }
      },
      (error: unknown) => world.broken('write', error),
    )
  }
}

/** Whether what is answered may be marked stale. */
export function oldFor({ maxStalenessMs, whenStale }: ReadOptions, inSession: boolean): Asked['old'] {
  if (whenStale === 'serve') return 'any'
  return inSession || maxStalenessMs === 0 ? 'never' : 'bounded'
}
