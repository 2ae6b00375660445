// A real cluster from the machine's redis-server: primaries with replicas on loopback ports, their data in temporary
// folders, and the faults that clusters have: a node killed, stopped in its tracks, restarted; a forced failover; a slot
// migrated, or left half migrated. Everything is ended by pid, by `close` or with the process that started it.
// Not for: what a client makes of it (that is what the tests are about).
import type { Place } from './namespaces.ts'
import { RedisProcess, until } from './redis-process.ts'
import type { RedisProcessState } from './redis-process.ts'
import { redisInstalled } from './redis-server.ts'

export interface RedisClusterOptions {
  /** At least 3, so that the rest can vote. 3 unless said otherwise. */
  readonly primaries?: number
  /** For each primary; 0 unless said otherwise. */
  readonly replicas?: number
  /** cluster-node-timeout: a node silent for so long has failed. 1,000 ms unless said otherwise. */
  readonly nodeTimeoutMs?: number
  /** Further arguments of every redis-server. */
  readonly args?: readonly string[]
  /** Of each node, primaries first; loopback unless said otherwise. */
  readonly places?: readonly Place[]
  /** The nodes live on when this process ends; see RedisCluster.attach. */
  readonly detached?: boolean
}

export interface RedisClusterState {
  readonly nodes: readonly (RedisProcessState & { readonly id: string })[]
}

/** A line of CLUSTER NODES. */
export interface SeenNode {
  readonly id: string
  readonly port: number
  readonly flags: readonly string[]
  /** Of a replica: its primary's id. */
  readonly primary: string | undefined
  /** Whole slots and ranges, as [from, to]. */
  readonly slots: readonly (readonly [number, number])[]
}

export const CLUSTER_SLOTS = 16_384

export class ClusterNode {
  readonly id: string
  readonly process: RedisProcess

  constructor(id: string, process: RedisProcess) {
    this.id = id
    this.process = process
  }

  get port(): number {
    return this.process.port
  }

  get host(): string {
    return this.process.place.host
  }

  get pid(): number {
    return this.process.pid
  }

  get alive(): boolean {
    return this.process.alive
  }

  command(...args: readonly (string | Buffer | number)[]): Promise<unknown> {
    return this.process.command(...args)
  }

  /** The cluster as this node sees it. */
  async sees(): Promise<readonly SeenNode[]> {
    return parseNodes(String(await this.command('CLUSTER', 'NODES')))
  }

  /** Whether this node takes itself for a primary. */
  async isPrimary(): Promise<boolean> {
    return (await this.process.info('replication', 'role')) === 'master'
  }
}

function parseNodes(text: string): SeenNode[] {
  const lines = text.split('\n').filter(line => line.trim() !== '')
  return lines.map(line => {
    const [id, address, flags, primary, , , , , ...slots] = line.trim().split(' ')
    const ranges = slots.filter(slot => !slot.startsWith('['))
    return {
      id: id!,
      port: Number(/:(\d+)/.exec(address!)![1]),
      flags: flags!.split(','),
      primary: primary === '-' ? undefined : primary,
      slots: ranges.map(range => {
        const [from, to] = range.split('-').map(Number)
        return [from!, to ?? from!] as const
      }),
    }
  })
}

function placeOf({ places }: RedisClusterOptions, index: number): { readonly place?: Place } {
  return places === undefined ? {} : { place: places[index]! }
}

export class RedisCluster {
  /** All nodes ever started, dead ones too; primaries come first, as they were at the start. */
  readonly nodes: readonly ClusterNode[]

  private constructor(nodes: readonly ClusterNode[]) {
    this.nodes = nodes
  }

  /** Starts a cluster and waits until it is ok; undefined, after saying so, where redis-server is not installed. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster | undefined> {
    if (!redisInstalled()) return undefined
    const { primaries = 3, replicas = 0, nodeTimeoutMs = 1_000, args = [], detached = false } = options
    const settings = [
      `--cluster-node-timeout ${nodeTimeoutMs}`,
      // A replica that was cut off for long may still take over: tests are impatient, and that is the harder case.
      '--cluster-replica-validity-factor 0',
      '--repl-diskless-sync yes --repl-diskless-sync-delay 0 --enable-debug-command yes',
      ...(options.places === undefined ? [] : ['--protected-mode no']),
    ]
    const all = [...settings.flatMap(setting => setting.split(' ')), ...args]
    const servers: RedisProcess[] = []
    try {
      for (let index = 0; index < primaries * (1 + replicas); index++) {
        servers.push(await RedisProcess.start({ cluster: true, args: all, detached, ...placeOf(options, index) }))
      }
      const nodes: ClusterNode[] = []
      for (const server of servers) nodes.push(new ClusterNode(String(await server.command('CLUSTER', 'MYID')), server))
      const cluster = new RedisCluster(nodes)
      await cluster.#join(primaries)
      return cluster
    } catch (error) {
      for (const server of servers) await server.close()
      throw error
    }
  }

  /** A cluster that was started `detached`, perhaps by another process. */
  static attach(state: RedisClusterState): RedisCluster {
    return new RedisCluster(state.nodes.map(node => new ClusterNode(node.id, RedisProcess.attach(node))))
  }

  get state(): RedisClusterState {
    return { nodes: this.nodes.map(node => ({ ...node.process.state, id: node.id })) }
  }

  /** `host:port` of every node. */
  get addresses(): readonly string[] {
    return this.nodes.map(node => `${node.host}:${node.port}`)
  }

  async #join(primaries: number): Promise<void> {
    const first = this.nodes[0]!
    for (const [index, node] of this.nodes.entries()) {
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      if (index < primaries) {
        const from = Math.floor((index * CLUSTER_SLOTS) / primaries)
        const to = Math.floor(((index + 1) * CLUSTER_SLOTS) / primaries) - 1
        await node.command('CLUSTER', 'ADDSLOTSRANGE', from, to)
      }
      if (node !== first) await node.command('CLUSTER', 'MEET', first.host, first.port, first.process.busPort)
    }
    for (const node of this.nodes) {
      await until('all nodes know each other', async () => {
        const seen = await node.sees()
        return seen.length === this.nodes.length && seen.every(other => !other.flags.includes('handshake'))
      })
    }
    for (const [index, node] of this.nodes.entries()) {
      if (index >= primaries) await node.command('CLUSTER', 'REPLICATE', this.nodes[index % primaries]!.id)
    }
    await this.ready()
  }

  node(id: string): ClusterNode {
    const node = this.nodes.find(node => node.id === id)
    if (node === undefined) throw new Error(`no node has the id ${id}`)
    return node
  }

  /** Resolves once all nodes that are alive see every slot served, agree on who serves it, and replicas follow. */
  async ready(ms?: number): Promise<void> {
    await until('the cluster is ok', () => this.#isReady().catch(() => false), ms)
  }

  async #isReady(): Promise<boolean> {
    const views = new Set<string>()
    for (const node of this.nodes.filter(node => node.alive)) {
      if (!/cluster_state:ok/.test(String(await node.command('CLUSTER', 'INFO')))) return false
      const seen = await node.sees()
      const dead = seen.filter(other => !this.node(other.id).alive)
      if (dead.some(other => other.slots.length > 0)) return false
      if (
        seen.some(other => other.flags.includes('fail?') || (other.flags.includes('fail') && !dead.includes(other)))
      ) {
        return false
      }
      views.add(JSON.stringify(seen.map(({ id, slots, primary }) => JSON.stringify([id, slots, primary])).sort()))
      if (!(await node.isPrimary()) && (await node.process.info('replication', 'master_link_status')) !== 'up')
        return false
    }
    return views.size === 1
  }

  /** Primaries that serve slots, as the first node that answers sees them. */
  async primaries(): Promise<readonly ClusterNode[]> {
    const seen = await this.#view()
    return seen.filter(node => node.slots.length > 0).map(node => this.node(node.id))
  }

  async replicasOf(primary: ClusterNode): Promise<readonly ClusterNode[]> {
    const seen = await this.#view()
    return seen.filter(node => node.primary === primary.id).map(node => this.node(node.id))
  }

  async primaryOf(slot: number): Promise<ClusterNode> {
    const seen = await this.#view()
    const owner = seen.find(node => node.slots.some(([from, to]) => slot >= from && slot <= to))
    if (owner === undefined) throw new Error(`nobody serves slot ${slot}`)
    return this.node(owner.id)
  }

  async #view(): Promise<readonly SeenNode[]> {
    for (const node of this.nodes.filter(node => node.alive)) {
      const seen = await node.sees().catch(() => undefined)
      if (seen !== undefined) return seen
    }
    throw new Error('no node of the cluster answers')
  }

  /**
   * Makes a replica the primary, by agreement with the old one unless `how` says otherwise: 'force' where that does not
   * answer, 'takeover' without asking anybody. Redis 7.0 counts the votes of an election again that its shard held within
   * the last 4 node timeouts: a second failover that soon may give two primaries, of which the others believe the one before.
   */
  async failover(replica: ClusterNode, how?: 'force' | 'takeover'): Promise<void> {
    await replica.command('CLUSTER', 'FAILOVER', ...(how === undefined ? [] : [how.toUpperCase()]))
    await until('the replica is the primary', () => replica.isPrimary())
  }

  /** Resolves, after a primary was killed or paused, with the node that took its slots over. */
  successorOf(primary: ClusterNode, slot: number, ms?: number): Promise<ClusterNode> {
    return until(
      'another node takes over',
      async () => {
        for (const node of this.nodes) {
          if (node === primary || !node.alive || !(await node.isPrimary().catch(() => false))) continue
          const own = (await node.sees()).find(seen => seen.id === node.id)
          if (own?.slots.some(([from, to]) => slot >= from && slot <= to) === true) return node
        }
        return undefined
      },
      ms,
    )
  }

  /** Opens the migration of a slot: from now on both ends redirect to each other, key by key. */
  async beginMigration(slot: number, to: ClusterNode): Promise<SlotMigration> {
    const from = await this.primaryOf(slot)
    if (from === to) throw new Error(`slot ${slot} is there already`)
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
    return new SlotMigration(this, slot, from, to)
  }

  /** Moves a slot with its keys. */
  async migrateSlot(slot: number, to: ClusterNode): Promise<void> {
    const migration = await this.beginMigration(slot, to)
    await migration.moveKeys()
    await migration.finish()
  }

  /** Ends every node, and removes their folders. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map(node => node.process.close()))
  }
}

/** A slot on its way. Left alone it stays half migrated. */
export class SlotMigration {
  readonly slot: number
  readonly from: ClusterNode
  readonly to: ClusterNode
  readonly #cluster: RedisCluster

  constructor(cluster: RedisCluster, slot: number, from: ClusterNode, to: ClusterNode) {
    this.#cluster = cluster
    this.slot = slot
    this.from = from
    this.to = to
  }

  /** The slot's keys that are still at the old end. */
  async keysLeft(): Promise<readonly string[]> {
    return (await this.from.command('CLUSTER', 'GETKEYSINSLOT', this.slot, 1_000_000)) as string[]
  }

  /** Moves these keys, or all. */
  async moveKeys(keys?: readonly string[]): Promise<void> {
    const moved = keys ?? (await this.keysLeft())
    if (moved.length === 0) return
    await this.from.command('MIGRATE', this.to.host, this.to.port, '', 0, 2_000, 'KEYS', ...moved)
  }

  /** Gives the slot to its new end. Keys that were left behind have to be moved before. */
  async finish(): Promise<void> {
    await this.to.command('CLUSTER', 'SETSLOT', this.slot, 'NODE', this.to.id)
    await this.from.command('CLUSTER', 'SETSLOT', this.slot, 'NODE', this.to.id)
    await until('all know where the slot is', async () => {
      for (const node of this.#cluster.nodes.filter(node => node.alive)) {
        const owner = (await node.sees()).find(seen => seen.id === this.to.id)
        if (owner?.slots.some(([from, to]) => this.slot >= from && this.slot <= to) !== true) return false
      }
      return true
    })
  }

  /** Calls it off: the slot stays where it was, with the keys that are still there. */
  async abandon(): Promise<void> {
    await this.from.command('CLUSTER', 'SETSLOT', this.slot, 'STABLE')
    await this.to.command('CLUSTER', 'SETSLOT', this.slot, 'STABLE')
  }
}
