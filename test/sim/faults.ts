// What goes wrong: to the database, the cluster, the network, and the nodes. Every fault ends by itself after a while; `heal`
// ends those that have not.
import type { Node } from './node.ts'
import type { FaultKind } from './plan.ts'
import type { ValkeyNode } from './valkey.ts'
import type { World } from './world.ts'

type Dice = readonly number[]

/** Who talked to a primary that is gone has noticed by then. */
const SETTLES_WITHIN_MS = 500

export class Faults {
  readonly #world: World
  readonly #ends = new Set<() => void>()
  readonly #handlers: Readonly<Record<FaultKind, (dice: Dice) => void>>

  constructor(world: World) {
    this.#world = world
    this.#handlers = {
      'database crashes': dice => this.#crashDatabase(dice),
      'database fails over': dice => this.#failOverDatabase(dice, false),
      'database is isolated': dice => this.#failOverDatabase(dice, true),
      'database stops': ([, long]) => this.#for(20 + long! * 600, this.#world.postgres.process.stop()),
      'standby stalls': ([, long]) => this.#for(20 + long! * 400, this.#world.postgres.stallStandby()),
      'slot is lost': dice => this.#loseSlot(dice),
      'primary dies': dice => this.#replacePrimary(dice, 'dies'),
      'primary is isolated': dice => this.#replacePrimary(dice, 'is isolated'),
      'primary is replaced while it stops': dice => this.#replacePrimary(dice, 'stops'),
      'primary restarts from a snapshot': dice => this.#restartPrimary(dice),
      'primary stops': ([which, long]) => this.#for(20 + long! * 500, this.#primary(which!).process.stop()),
      'record is evicted': dice => this.#evictRecord(dice),
      'header is evicted': ([which]) => this.#evictHeader(which!),
      'everything is flushed': () => this.#flush(),
      'lane migrates': dice => this.#migrate(dice),
      'primary is out of memory': dice => this.#fillPrimary(dice),
      'network is cut one way': dice => this.#cut(dice, false),
      'network is cut': dice => this.#cut(dice, true),
      'node stops': ([which, long]) => this.#for(10 + long! * 1_200, this.#node(which!).process.stop()),
      'node is suspended': ([which, long]) => this.#for(100 + long! * 1_200, this.#node(which!).process.suspend()),
      'node dies': dice => this.#restartNode(dice),
      'wall clock jumps': ([which, far]) => this.#node(which!).process.jumpWall((far! - 0.5) * 20_000),
    }
  }

  begin(kind: FaultKind, dice: Dice): void {
    this.#handlers[kind](dice)
    const lasting = (ms: number, end: () => void): void => this.#for(ms, end)
    this.#world.logless?.fault(kind, dice, lasting)
    this.#world.service?.fault(kind, dice, lasting)
  }

  /** Ends whatever goes on. */
  heal(): void {
    while (this.#ends.size > 0) for (const end of this.#ends) end()
  }

  /** Calls `end` after a while, or at once when everything is healed. */
  #for(ms: number, end: () => void): void {
    const over = (): void => {
      if (this.#ends.delete(over)) end()
    }
    this.#ends.add(over)
    this.#world.time.after(ms, over)
  }

  #node(die: number): Node {
    const { nodes } = this.#world
    return nodes[Math.floor(die * nodes.length)]!
  }

  #primary(die: number): ValkeyNode {
    const primaries = this.#world.cluster.primaries()
    return primaries[Math.floor(die * primaries.length)]!
  }

  // ---- the database

  #crashDatabase([, long]: Dice): void {
    const world = this.#world
    const old = world.postgres
    if (!old.process.alive || old.frozen) return
    old.process.die()
    this.#for(20 + long! * 200, () => {
      const { history, slots } = old.afterCrash()
      const next = world.newServer(history)
      for (const [name, slot] of slots) next.slots.set(name, slot)
      world.takeOver(next)
      for (const node of world.nodes) if (node.postgres === old) node.postgres = next
    })
  }

  #loseSlot([which]: Dice): void {
    const { postgres } = this.#world
    const names = [...postgres.slots.keys()]
    const name = names[Math.floor(which! * names.length)]
    if (name !== undefined) postgres.loseSlot(name)
  }

  /** The standby takes over; each node notices in its own time. */
  #failOverDatabase([, long, late, staying]: Dice, isolated: boolean): void {
    const world = this.#world
    const old = world.postgres
    if (!old.process.alive || old.frozen) return
    if (isolated) old.frozen = true
    else old.process.die()
    this.#for(20 + long! * 200, () => {
      const next = world.newServer(old.afterFailover())
      if (isolated) world.isolated.add(old)
      world.takeOver(next)
      for (const [index, node] of world.nodes.entries()) {
        const noticesMs = ((late! + index * 0.37) % 1) * 400
        this.#for(noticesMs, () => {
          node.postgres = world.postgres
        })
      }
      if (!isolated) return
      this.#for(100 + staying! * 600, () => {
        old.process.die()
        world.isolated.delete(old)
        world.isolatedUntilMs = world.time.nowMs
      })
    })
  }

  // ---- the cluster

  #replacePrimary([which, long, lag, staying, knows]: Dice, how: 'dies' | 'is isolated' | 'stops'): void {
    const world = this.#world
    const old = this.#primary(which!)
    if (!old.process.running) return
    const cutOffMs = world.time.nowMs
    // Dead, and known by another name than the next one: nobody takes one for the other.
    const honest = how === 'dies' && world.cluster.shape.shardIs === 'primary'
    const truthful = honest ? undefined : world.logless?.lies()
    const goOn = how === 'stops' ? old.process.stop() : undefined
    if (how === 'dies') old.process.die()
    this.#for(20 + long! * 200, () => {
      if (world.cluster.counts(old)) world.cluster.failOver(old, cutOffMs, lag! * 200)
      if (how === 'dies') truthful?.(SETTLES_WITHIN_MS)
    })
    if (how === 'dies') return
    // It takes itself for a primary until it hears of the new one; in a minority it may give up before.
    const isMinority = knows! < 0.5
    if (isMinority) this.#for(20 + long! * 200, () => (old.down = true))
    this.#for((isMinority ? 250 : 20 + long! * 200) + staying! * 500, () => {
      goOn?.()
      this.#for(goOn === undefined ? 0 : 30, () => {
        old.demote()
        this.#for(staying! * 100, () => {
          old.process.die()
          truthful?.(SETTLES_WITHIN_MS)
        })
      })
    })
  }

  #restartPrimary([which, age, long]: Dice): void {
    const world = this.#world
    const old = this.#primary(which!)
    if (!old.process.running) return
    old.process.die()
    this.#for(5 + long! * 100, () => {
      if (!world.cluster.counts(old)) return
      const next = world.cluster.restart(old, age! * 1_500)
      next.loading = true
      this.#for(long! * 50, () => (next.loading = false))
    })
  }

  #evictRecord([which]: Dice): void {
    const { keys, cluster } = this.#world
    const key = keys[Math.floor(which! * keys.length)]!
    for (let lane = 0; lane < cluster.shape.lanes; lane++) cluster.ownerOf(lane).evict(lane, key)
  }

  #evictHeader(die: number): void {
    const { cluster } = this.#world
    const lane = Math.floor(die * cluster.shape.lanes)
    cluster.ownerOf(lane).loseHeader(lane)
  }

  #flush(): void {
    for (const primary of this.#world.cluster.primaries()) primary.flush()
  }

  /** Key by key, with pauses. */
  #migrate([which, where, long]: Dice): void {
    const { cluster, time } = this.#world
    const lane = Math.floor(which! * cluster.shape.lanes)
    const others = cluster.primaries().filter(node => node !== cluster.ownerOf(lane))
    const to = others[Math.floor(where! * others.length)]
    if (to === undefined || !cluster.beginMigration(lane, to)) return
    let over = false
    const move = (): void => {
      if (over) return
      if (cluster.migrateOne(lane)) time.after(1 + long! * 40, move)
    }
    time.after(long! * 40, move)
    this.#for(1_500, () => {
      over = true
      while (cluster.migrateOne(lane));
    })
  }

  #fillPrimary([which, long]: Dice): void {
    const primary = this.#primary(which!)
    primary.full = true
    this.#for(20 + long! * 500, () => {
      for (const node of [primary, ...this.#world.cluster.primaries()]) node.full = false
    })
  }

  // ---- the network and the nodes

  #cut([which, what, long, way]: Dice, both: boolean): void {
    const { network, postgres } = this.#world
    const { name } = this.#node(which!)
    const other = what! < 0.4 ? postgres.process.name : this.#primary((what! - 0.4) / 0.6).process.name
    const heals = [
      ...(both || way! < 0.5 ? [network.cut(name, other)] : []),
      ...(both || way! >= 0.5 ? [network.cut(other, name)] : []),
    ]
    this.#for(50 + long! * 1_000, () => {
      for (const heal of heals) heal()
    })
  }

  #restartNode([which, long]: Dice): void {
    const { nodes } = this.#world
    const index = Math.floor(which! * nodes.length)
    const node = nodes[index]!
    if (!node.process.alive) return
    node.process.die()
    this.#for(10 + long! * 200, () => (nodes[index] = this.#world.newNode(index)))
  }
}
