// What goes wrong with a grid, one thing at a time: how each fault is brought about, how long it lasts, and how it is undone.
// Not for: when which comes (chaos-run.ts), and what came of it (report.ts).
import { setTimeout as wait } from 'node:timers/promises'
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import type { Namespaces } from '../support/namespaces.ts'
import type { ClusterNode } from '../support/redis-cluster.ts'
import { CLUSTER_SLOTS } from '../support/redis-cluster.ts'
import { until } from '../support/redis-process.ts'
import { RespClient } from '../support/resp-client.ts'
import type { TidemarkProcess } from '../support/tidemark-process.ts'
import { slot } from './grid.ts'
import type { Grid } from './grid.ts'

export interface FaultScene {
  readonly grid: Grid
  readonly clock: Clock
  readonly random: Random
}

/** A fault that is there now. */
export interface Ongoing {
  /** What it hit. */
  readonly target: string
  /** Servers that cannot answer, or not in time, while it lasts. */
  readonly down: readonly string[]
  /** What there is to tell once it is known: milliseconds by name. */
  readonly figures: Record<string, number>
  /** When another primary had taken over; for faults that take one away. */
  failedOverMs?(): number
  /** Undoes it; resolves once all processes run again. */
  heal(): Promise<void>
}

export interface Fault {
  readonly name: string
  readonly help: string
  /** Needs network namespaces. */
  readonly partition?: true
  /** From when it is there until it is undone. */
  readonly lastsMs: number
  begin(scene: FaultScene): Promise<Ongoing>
}

interface Reached {
  readonly name: string
  readonly port?: number
  connect?(): Promise<RespClient>
}

const FAILOVER_MS = 30_000
const FAILOVER = 'cluster failover'
const ANSWER_MS = 300

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)]!
}

function ongoing(target: string, heal: () => Promise<void> | void, down: readonly string[] = []): Ongoing {
  return { target, down, figures: {}, heal: async () => heal() }
}

function portName({ grid }: FaultScene, node: ClusterNode): string {
  return `node-${grid.cluster.nodes.indexOf(node) + 1}`
}

async function pickPrimary({ grid, random }: FaultScene): Promise<ClusterNode> {
  return pick(random, await grid.cluster.primaries())
}

async function pickReplica(scene: FaultScene): Promise<ClusterNode> {
  const { grid, random } = scene
  const primaries = await grid.cluster.primaries()
  const replicas = await Promise.all(primaries.map(primary => grid.cluster.replicasOf(primary)))
  return pick(random, replicas.flat())
}

/** Waits, until the fault is undone at the latest, for another primary, and notes how long the cluster took. */
async function awaitFailover(
  { grid, clock }: FaultScene,
  primary: ClusterNode,
  slotOf: number,
  figures: Record<string, number>,
  fromMs: number,
): Promise<void> {
  // prettier-ignore
  await grid.cluster.successorOf(primary, slotOf, FAILOVER_MS)
  figures[FAILOVER] = clock.monotonicMs() - fromMs
}

async function firstSlotOf(primary: ClusterNode): Promise<number> {
  const own = (await primary.sees()).find(seen => seen.id === primary.id)
  return own!.slots[0]![0]
}

/** A primary goes away by `leave`; `back` brings it again once another has taken over. */
async function losePrimary(
  scene: FaultScene,
  leave: (primary: ClusterNode) => Promise<void> | void,
  back: (primary: ClusterNode) => Promise<void> | void,
): Promise<Ongoing> {
  // prettier-ignore
  const primary = await pickPrimary(scene)
  const first = await firstSlotOf(primary)
  const figures: Record<string, number> = {}
  const fromMs = scene.clock.monotonicMs()
  await leave(primary)
  const failover = awaitFailover(scene, primary, first, figures, fromMs)
  // It is heard when the fault is undone.
  failover.catch(() => {})
  const heal = async (): Promise<void> => {
    await failover
    await back(primary)
  }
  return { target: portName(scene, primary), down: [], figures, heal, failedOverMs: () => fromMs + figures[FAILOVER]! }
}

/** Of these servers the one that runs the tide, as they say themselves; undefined: none that answers. */
export async function tideHolder<Server extends Reached>(servers: readonly Server[]): Promise<Server | undefined> {
  for (const server of servers) {
    if (!server.name.startsWith('tidemark')) continue
    const asked = server.connect === undefined ? RespClient.connect(server.port!) : server.connect()
    const client = await asked.catch(() => undefined)
    if (client === undefined) continue
    const silence = wait(ANSWER_MS).then(() => undefined)
    const reply = await Promise.race([client.command('TM.STATUS').catch(() => undefined), silence])
    client.close()
    if (JSON.stringify(reply)?.includes('"tide","runs"') === true) return server
  }
  return undefined
}

async function requireHolder({ grid }: FaultScene): Promise<TidemarkProcess> {
  return until('somebody runs the tide', () => tideHolder(grid.servers), 20_000)
}

/** Notes when another server than `before` says that it runs the tide. */
function awaitTakeover(scene: FaultScene, before: TidemarkProcess, figures: Record<string, number>): Promise<void> {
  const { grid, clock } = scene
  const fromMs = clock.monotonicMs()
  const others = grid.servers.filter(server => server !== before)
  const taken = until('another server takes the tide over', () => tideHolder(others), FAILOVER_MS)
  return taken.then(() => void (figures['takeover of the tide'] = clock.monotonicMs() - fromMs))
}

async function loseServer(
  scene: FaultScene,
  server: TidemarkProcess,
  stopOnly: boolean,
  figures: Record<string, number> = {},
): Promise<Ongoing> {
  // prettier-ignore
  if (stopOnly) server.pause()
  else await server.kill()
  const heal = async (): Promise<void> => (stopOnly ? server.resume() : server.start())
  return { target: server.name, down: [server.name], figures, heal }
}

async function loseHolder(scene: FaultScene, stopOnly: boolean): Promise<Ongoing> {
  const holder = await requireHolder(scene)
  const figures: Record<string, number> = {}
  const taken = awaitTakeover(scene, holder, figures)
  taken.catch(() => {})
  const lost = await loseServer(scene, holder, stopOnly, figures)
  const heal = async (): Promise<void> => {
    await taken
    await lost.heal()
  }
  return { ...lost, heal }
}

async function migration(scene: FaultScene, halfway: boolean): Promise<Ongoing> {
  const { grid, random } = scene
  const [from, to] = await twoPrimaries(scene)
  // Most slots are empty: one with keys in it is what matters.
  const used = await until('a slot with keys', async () => {
    const candidate = await slotWithKeys(from, random)
    return candidate ?? false
  })
  const moving = await grid.cluster.beginMigration(used, to)
  const keys = await moving.keysLeft()
  if (halfway) await moving.moveKeys(keys.filter((_, i) => i % 2 === 0))
  const heal = async (): Promise<void> => {
    // Keys that come while others are moved are moved in the next round.
    while ((await moving.keysLeft()).length > 0) await moving.moveKeys()
    await moving.finish()
  }
  return ongoing(`slot ${used} with ${keys.length} keys, ${portName(scene, from)} to ${portName(scene, to)}`, heal)
}

async function twoPrimaries(scene: FaultScene): Promise<[ClusterNode, ClusterNode]> {
  const primaries = await scene.grid.cluster.primaries()
  const first = scene.random.below(primaries.length)
  return [primaries[first]!, primaries[(first + 1) % primaries.length]!]
}

async function slotWithKeys(node: ClusterNode, random: Random): Promise<number | undefined> {
  const key = await node.command('RANDOMKEY')
  if (typeof key !== 'string') return undefined
  const owned = Number(await node.command('CLUSTER', 'KEYSLOT', key))
  return owned >= 0 && owned < CLUSTER_SLOTS && random.below(2) >= 0 ? owned : undefined
}

/** The server that runs the tide in one of two cases: a partition that hits it is the harder one. */
async function pickServer(scene: FaultScene): Promise<TidemarkProcess> {
  const { grid, random } = scene
  const holder = random.below(2) === 0 ? await tideHolder(grid.servers) : undefined
  return holder ?? pick(random, grid.servers)
}

async function cutServer(
  scene: FaultScene,
  from: { readonly postgres: boolean; readonly cluster: boolean; readonly hears?: true },
): Promise<Ongoing> {
  // prettier-ignore
  const { grid } = scene
  const namespaces = grid.namespaces as Namespaces
  const server = await pickServer(scene)
  const hosts = [
    ...(from.postgres ? [namespaces.outside.host] : []),
    ...(from.cluster ? grid.cluster.nodes.map(node => node.host) : []),
  ]
  for (const host of hosts) {
    if (from.hears) namespaces.mute(server.place, host)
    else namespaces.cut(server.place, host)
  }
  return ongoing(server.name, () => namespaces.heal(server.place), [server.name])
}

export const faults: readonly Fault[] = [
  {
    name: 'kill-primary',
    help: 'kill -9 of a primary of the cluster; started again, empty, after another has taken over',
    lastsMs: 4_000,
    begin: scene =>
      losePrimary(
        scene,
        primary => primary.process.kill(),
        primary => primary.process.restart(),
      ),
  },
  {
    name: 'stop-primary',
    help: 'SIGSTOP of a primary of the cluster; it goes on after another has taken over, and does not know',
    lastsMs: 4_000,
    begin: scene =>
      losePrimary(
        scene,
        primary => primary.process.pause(),
        primary => primary.process.resume(),
      ),
  },
  {
    name: 'kill-replica',
    help: 'kill -9 of a replica',
    lastsMs: 2_000,
    begin: async scene => {
      const replica = await pickReplica(scene)
      await replica.process.kill()
      return ongoing(portName(scene, replica), () => replica.process.restart())
    },
  },
  {
    name: 'stop-replica',
    help: 'SIGSTOP of a replica',
    lastsMs: 3_000,
    begin: async scene => {
      const replica = await pickReplica(scene)
      replica.process.pause()
      return ongoing(portName(scene, replica), () => replica.process.resume())
    },
  },
  {
    name: 'switch-primary',
    help: 'CLUSTER FAILOVER: a replica and its primary change places',
    lastsMs: 500,
    begin: async scene => {
      const replica = await pickReplica(scene)
      await scene.grid.cluster.failover(replica)
      return ongoing(portName(scene, replica), () => {})
    },
  },
  {
    name: 'flush-primary',
    help: 'FLUSHALL on a primary: headers and records of its lanes are gone',
    lastsMs: 500,
    begin: async scene => {
      const primary = await pickPrimary(scene)
      await primary.command('FLUSHALL')
      return ongoing(portName(scene, primary), () => {})
    },
  },
  {
    name: 'kill-server',
    help: 'kill -9 of a Tidemark server',
    lastsMs: 2_000,
    begin: scene => loseServer(scene, pick(scene.random, scene.grid.servers), false),
  },
  {
    name: 'stop-server',
    help: 'SIGSTOP of a Tidemark server',
    lastsMs: 4_000,
    begin: scene => loseServer(scene, pick(scene.random, scene.grid.servers), true),
  },
  {
    name: 'kill-library',
    help: 'kill -9 of a service with the library in it',
    lastsMs: 1_000,
    begin: async ({ grid, random }) => {
      const library = pick(random, grid.libraries)
      await library.kill()
      return ongoing(library.name, () => library.start())
    },
  },
  {
    name: 'stop-library',
    help: 'SIGSTOP of a service with the library in it',
    lastsMs: 3_000,
    begin: ({ grid, random }) => {
      const library = pick(random, grid.libraries)
      library.pause()
      return Promise.resolve(ongoing(library.name, () => library.resume()))
    },
  },
  { name: 'kill-holder', help: 'kill -9 of the server that runs the tide', lastsMs: 4_000, begin: scene => loseHolder(scene, false) }, // prettier-ignore
  { name: 'stop-holder', help: 'SIGSTOP of the server that runs the tide', lastsMs: 5_000, begin: scene => loseHolder(scene, true) }, // prettier-ignore
  {
    name: 'kill-postgres',
    help: 'kill -9 of Postgres with all its processes; started again, it recovers',
    lastsMs: 2_000,
    begin: async ({ grid }) => {
      await grid.postgres.kill()
      return ongoing('postgres', () => grid.postgres.start())
    },
  },
  {
    name: 'stop-postgres',
    help: 'SIGSTOP of all processes of Postgres',
    lastsMs: 3_000,
    begin: async ({ grid }) => {
      grid.postgres.pause()
      return ongoing('postgres', () => grid.postgres.resume())
    },
  },
  { name: 'migrate-slot', help: 'a slot with lanes moves to another primary', lastsMs: 0, begin: scene => migration(scene, false) }, // prettier-ignore
  { name: 'half-migration', help: 'a slot stays half moved for a while', lastsMs: 3_000, begin: scene => migration(scene, true) }, // prettier-ignore
  {
    name: 'drop-slot',
    help: 'the replication slot is taken from the tide and dropped',
    lastsMs: 500,
    begin: async ({ grid }) => {
      const end = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active'
      const drop = 'SELECT pg_drop_replication_slot($1)'
      await until('the slot is dropped', async () => {
        await grid.postgres.query(end, [slot])
        return grid.postgres.query(drop, [slot]).then(
          () => true,
          () => false,
        )
      })
      return ongoing(`slot ${slot}`, () => {})
    },
  },
  {
    name: 'cut-database',
    help: 'a server is cut off from Postgres',
    partition: true,
    lastsMs: 4_000,
    begin: scene => cutServer(scene, { postgres: true, cluster: false }),
  },
  {
    name: 'cut-cluster',
    help: 'a server is cut off from the cluster',
    partition: true,
    lastsMs: 4_000,
    begin: scene => cutServer(scene, { postgres: false, cluster: true }),
  },
  {
    name: 'cut-both',
    help: 'a server is cut off from Postgres and the cluster',
    partition: true,
    lastsMs: 4_000,
    begin: scene => cutServer(scene, { postgres: true, cluster: true }),
  },
  {
    name: 'mute-server',
    help: 'what a server sends to Postgres and the cluster is lost, and only that',
    partition: true,
    lastsMs: 4_000,
    begin: scene => cutServer(scene, { postgres: true, cluster: true, hears: true }),
  },
  {
    name: 'cut-library',
    help: 'a service with the library in it is cut off from Postgres, or the cluster, or both',
    partition: true,
    lastsMs: 4_000,
    begin: ({ grid, random }) => {
      const namespaces = grid.namespaces as Namespaces
      const library = pick(random, grid.libraries)
      const cuts = random.below(3)
      const hosts = [
        ...(cuts === 0 ? [] : [namespaces.outside.host]),
        ...(cuts === 1 ? [] : grid.cluster.nodes.map(node => node.host)),
      ]
      for (const host of hosts) namespaces.cut(library.place, host)
      const from = ['the cluster', 'Postgres', 'both'][cuts]!
      return Promise.resolve(ongoing(`${library.name} from ${from}`, () => namespaces.heal(library.place)))
    },
  },
  {
    name: 'mute-primary',
    help: 'what a primary sends to one server is lost, and only that',
    partition: true,
    lastsMs: 4_000,
    begin: async scene => {
      const namespaces = scene.grid.namespaces as Namespaces
      const primary = await pickPrimary(scene)
      const server = await pickServer(scene)
      namespaces.mute(primary.process.place, server.place.host)
      const target = `${portName(scene, primary)} to ${server.name}`
      return ongoing(target, () => namespaces.heal(primary.process.place), [server.name])
    },
  },
  {
    name: 'strand-primary',
    help: 'a primary is cut off from all other nodes, and servers still reach it',
    partition: true,
    lastsMs: 4_000,
    begin: scene => {
      const { grid } = scene
      const namespaces = grid.namespaces as Namespaces
      return losePrimary(
        scene,
        primary => {
          const others = grid.cluster.nodes.filter(node => node !== primary)
          for (const other of others) namespaces.cut(primary.process.place, other.host)
        },
        primary => namespaces.heal(primary.process.place),
      )
    },
  },
]

/** After a fault: all processes run, and the cluster agrees on who serves what. */
export async function whole({ grid, clock }: FaultScene): Promise<void> {
  await grid.cluster.ready(60_000)
  await sleep(clock, 100)
}
