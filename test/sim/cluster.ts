// The cluster of valkey.ts' nodes as its operators and its failures see it: who is the primary of which lane, failovers,
// isolated primaries, restarts, slots that move. Not for: what nodes hold (valkey.ts).
import type { Random } from '../../src/base/random.ts'
import { SimProcess } from './machine.ts'
import type { VirtualTime } from './virtual-time.ts'
import { ValkeyNode } from './valkey.ts'

export interface ClusterShape {
  readonly lanes: number
  readonly shards: number
  /** Lanes behind those, of sources without a log: the same servers under another prefix. */
  readonly loglessLanes?: number
  /** What a header calls its shard: the primary, so that a failover is another one, or primary and replicas together. */
  readonly shardIs: 'primary' | 'shard'
}

export class Cluster {
  readonly shape: ClusterShape
  /** By lane. */
  readonly #owners: ValkeyNode[] = []
  readonly #time: VirtualTime
  readonly #random: Random
  #nodes = 0

  constructor(time: VirtualTime, shape: ClusterShape, random: Random) {
    this.shape = shape
    this.#time = time
    this.#random = random
    const primaries = Array.from({ length: shape.shards }, (_, shard) => this.#newNode(shard))
    for (let lane = 0; lane < shape.lanes + (shape.loglessLanes ?? 0); lane++) {
      const node = primaries[lane % primaries.length]!
      node.owned.add(lane)
      this.#owners.push(node)
    }
  }

  /** The primary as the majority has it. */
  ownerOf(lane: number): ValkeyNode {
    return this.#owners[lane]!
  }

  /** All primaries, each once. */
  primaries(): ValkeyNode[] {
    return [...new Set(this.#owners)]
  }

  /** Whether it has lanes, or is about to. */
  counts(node: ValkeyNode): boolean {
    return this.#owners.includes(node) || node.importing.size > 0
  }

  #newNode(shard: number): ValkeyNode {
    const id = `valkey-${this.#nodes++}`
    const name = this.shape.shardIs === 'primary' ? id : `shard-${shard}`
    return new ValkeyNode(id, name, new SimProcess(id, this.#time, 0), this.#time)
  }

  /** A replica that was `lagMs` behind takes over, `cutOffMs` after its primary was last heard. Returns it. */
  failOver(old: ValkeyNode, cutOffMs: number, lagMs: number): ValkeyNode {
    const shard = Number(old.shard.split('-')[1])
    const next = this.#newNode(shard)
    old.copyTo(next, cutOffMs - lagMs)
    for (const [lane, owner] of this.#owners.entries()) {
      if (owner !== old) continue
      this.#owners[lane] = next
      next.owned.add(lane)
      const target = old.migrating.get(lane)
      if (target !== undefined) next.migrating.set(lane, target)
    }
    for (const lane of old.importing) next.importing.add(lane)
    for (const node of this.primaries()) {
      for (const [lane, target] of node.migrating) if (target === old) node.migrating.set(lane, next)
    }
    return next
  }

  /** The primary starts again, by itself, with what its last snapshot on disk held. */
  restart(old: ValkeyNode, snapshotAgeMs: number): ValkeyNode {
    const process = new SimProcess(old.id, this.#time, 0)
    const next = new ValkeyNode(old.id, old.shard, process, this.#time)
    old.copyTo(next, this.#time.nowMs - snapshotAgeMs)
    for (const [lane, owner] of this.#owners.entries()) {
      if (owner !== old) continue
      this.#owners[lane] = next
      next.owned.add(lane)
    }
    for (const [lane, target] of old.migrating) next.migrating.set(lane, target)
    for (const lane of old.importing) next.importing.add(lane)
    for (const node of this.primaries()) {
      for (const [lane, target] of node.migrating) if (target === old) node.migrating.set(lane, next)
    }
    return next
  }

  beginMigration(lane: number, to: ValkeyNode): boolean {
    const from = this.ownerOf(lane)
    if (from === to || from.migrating.has(lane) || !to.process.alive) return false
    from.migrating.set(lane, to)
    to.importing.add(lane)
    return true
  }

  /** Moves some key of the lane; false: there is none left, and the lane is the target's. */
  migrateOne(lane: number, random: Random = this.#random): boolean {
    const from = this.ownerOf(lane)
    const to = from.migrating.get(lane)
    if (to === undefined) return false
    const keys = from.keysOf(lane)
    if (keys.length > 0) {
      from.moveKey(lane, keys[random.below(keys.length)], to)
      return true
    }
    from.migrating.delete(lane)
    from.owned.delete(lane)
    to.importing.delete(lane)
    to.owned.add(lane)
    this.#owners[lane] = to
    for (const tell of from.movedAway) tell(lane)
    return false
  }
}
