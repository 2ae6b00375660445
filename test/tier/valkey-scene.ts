// A ValkeyTier over real servers for the tier contract: fresh for every test, with time that is moved by hand, states that
// are brought back and lanes that move to another primary. Not for: faults of servers and networks (valkey-faults.test.ts).
//
// Nobody moves a real server's clock. So all durations are given to it a thousandfold, and when the test's clock advances,
// everything that is stored becomes older by a thousand times as much before the next operation.
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import type { TierFixture } from '../../src/testing/tier-contract.ts'
import type { LaneListener, LaneSubscription, SharedTier } from '../../src/tier/tier.ts'
import { ValkeyTier, type ValkeyTierOptions } from '../../src/tier/valkey-tier.ts'
import type { RedisCluster } from '../support/redis-cluster.ts'
import { until, type RedisProcess } from '../support/redis-process.ts'
import { RespClient } from '../support/resp-client.ts'
import { setTimeout as wait } from 'node:timers/promises'

const STRETCH = 1_000

/** The servers of one test file. */
export interface ServersOfScene {
  primaries(): Promise<readonly RedisProcess[]>
  /** Makes every lane with keys run on another primary, keys and all. */
  moveLanes(): Promise<void>
}

/** Goes on with less of its time left, whatever it is: the servers' keys expire and leases end so much earlier. */
async function age(server: RedisProcess, ms: number): Promise<void> {
  const client = await RespClient.connect(server.port, { exact: true })
  try {
    for (const key of (await client.command('KEYS', 'tm:*:k*')) as Buffer[]) {
      const left = Number(await client.command('PTTL', key))
      if (left <= ms) {
        await client.command('DEL', key)
        continue
      }
      const head = (await client.command('GETRANGE', key, 0, 29)) as Buffer
      if (head[1] === 0x4c || head[1] === 0x46) {
        const until = Buffer.alloc(8)
        until.writeBigUInt64BE(head.readBigUInt64BE(22) - BigInt(ms))
        await client.command('SETRANGE', key, 22, until)
      }
      if (head[1] === 0x77 || head[1] === 0x73) await ageRenewal(client, key, ms)
      await client.command('PEXPIRE', key, left - ms)
    }
  } finally {
    client.close()
  }
}

class StretchedClock extends ManualClock {
  /** Not yet passed on to the servers. */
  pendingMs = 0

  override advance(ms: number): void {
    super.advance(ms)
    this.pendingMs += ms
  }
}

/** Of a value that is loaded anew: the end of the renewal, and its own. */
async function ageRenewal(client: RespClient, key: Buffer, ms: number): Promise<void> {
  const size = Number(await client.command('STRLEN', key))
  const ends = (await client.command('GETRANGE', key, size - 16, size - 1)) as Buffer
  for (const at of [0, 8]) {
    const end = ends.readBigUInt64BE(at)
    if (end !== 0n) ends.writeBigUInt64BE(end - BigInt(ms), at)
  }
  await client.command('SETRANGE', key, size - 16, ends)
}

/** The tier as its contract sees it. */
class StretchedTier implements SharedTier {
  readonly tier: ValkeyTier
  readonly #clock: StretchedClock
  readonly #servers: ServersOfScene

  constructor(tier: ValkeyTier, clock: StretchedClock, servers: ServersOfScene) {
    this.tier = tier
    this.#clock = clock
    this.#servers = servers
  }

  get lanes(): number {
    return this.tier.lanes
  }

  async #now(): Promise<ValkeyTier> {
    const ms = this.#clock.pendingMs
    this.#clock.pendingMs = 0
    if (ms > 0) for (const server of await this.#servers.primaries()) await age(server, ms * STRETCH)
    return this.tier
  }

  async read(...args: Parameters<ValkeyTier['read']>): ReturnType<ValkeyTier['read']> {
    return await (await this.#now()).read(...args)
  }

  async lease(...[key, options]: Parameters<ValkeyTier['lease']>): ReturnType<ValkeyTier['lease']> {
    return await (await this.#now()).lease(key, { ...options, leaseMs: options.leaseMs * STRETCH })
  }

  async renew(...[key, options]: Parameters<ValkeyTier['renew']>): ReturnType<ValkeyTier['renew']> {
    return await (await this.#now()).renew(key, { ...options, leaseMs: options.leaseMs * STRETCH })
  }

  async hold(...[key, token, leaseMs]: Parameters<ValkeyTier['hold']>): ReturnType<ValkeyTier['hold']> {
    return await (await this.#now()).hold(key, token, leaseMs * STRETCH)
  }

  async fill(...[key, token, value]: Parameters<ValkeyTier['fill']>): ReturnType<ValkeyTier['fill']> {
    return await (await this.#now()).fill(key, token, stretched(value))
  }

  async put(...[key, value]: Parameters<ValkeyTier['put']>): ReturnType<ValkeyTier['put']> {
    return await (await this.#now()).put(key, stretched(value))
  }

  async voidKey(...args: Parameters<ValkeyTier['voidKey']>): ReturnType<ValkeyTier['voidKey']> {
    return await (await this.#now()).voidKey(...args)
  }

  async begin(...[key, id, fenceMs]: Parameters<ValkeyTier['begin']>): ReturnType<ValkeyTier['begin']> {
    return await (await this.#now()).begin(key, id, fenceMs * STRETCH)
  }

  async putFenced(...[key, id, value]: Parameters<ValkeyTier['putFenced']>): ReturnType<ValkeyTier['putFenced']> {
    return await (await this.#now()).putFenced(key, id, stretched(value))
  }

  async lane(...args: Parameters<ValkeyTier['lane']>): ReturnType<ValkeyTier['lane']> {
    return await (await this.#now()).lane(...args)
  }

  async apply(...args: Parameters<ValkeyTier['apply']>): ReturnType<ValkeyTier['apply']> {
    return await (await this.#now()).apply(...args)
  }

  async reset(...args: Parameters<ValkeyTier['reset']>): ReturnType<ValkeyTier['reset']> {
    return await (await this.#now()).reset(...args)
  }

  async subscribe(listener: LaneListener): Promise<LaneSubscription> {
    return await this.tier.subscribe(listener)
  }

  close(): Promise<void> {
    return this.tier.close()
  }
}

function stretched<T extends { readonly ttlMs?: number }>(value: T): T {
  return value.ttlMs === undefined ? value : { ...value, ttlMs: value.ttlMs * STRETCH }
}

/** All keys of these servers as they are; the function returned brings them back, and nothing else. */
async function checkpoint(servers: readonly RedisProcess[]): Promise<() => Promise<void>> {
  const dumps: { readonly key: Buffer; readonly ttl: number; readonly dump: Buffer; readonly port: number }[] = []
  for (const { port } of servers) {
    const client = await RespClient.connect(port, { exact: true })
    for (const key of (await client.command('KEYS', '*')) as Buffer[]) {
      const ttl = Math.max(0, Number(await client.command('PTTL', key)))
      dumps.push({ key, ttl, dump: (await client.command('DUMP', key)) as Buffer, port })
    }
    client.close()
  }
  return async () => {
    for (const server of servers) await server.command('FLUSHALL')
    for (const { port } of servers) {
      const client = await RespClient.connect(port)
      for (const { key, ttl, dump } of dumps.filter(entry => entry.port === port)) {
        const reply = await client.command('RESTORE', key, ttl, dump)
        if (reply instanceof Error) throw reply
      }
      client.close()
    }
  }
}

/** The tier's options in tests: errors show, nothing is random, and a slow machine is no fault. */
export function tierOptions(ports: readonly number[], options: Partial<ValkeyTierOptions> = {}): ValkeyTierOptions {
  return {
    servers: ports.map(port => ({ host: '127.0.0.1', port })),
    clock: systemClock(),
    random: seededRandom(1),
    timeoutMs: 2_000,
    warn: () => {},
    ...options,
  }
}

export async function valkeyFixture(servers: ServersOfScene, lanes: number): Promise<TierFixture> {
  const primaries = await servers.primaries()
  for (const server of primaries) await server.command('FLUSHALL')
  const clock = new StretchedClock()
  const ports = primaries.map(server => server.port)
  const tier = new StretchedTier(await ValkeyTier.connect(tierOptions(ports, { lanes })), clock, servers)
  return {
    tier,
    clock,
    checkpoint: async () => checkpoint(await servers.primaries()),
    moveToShard: async () => {
      await servers.moveLanes()
      await until('the tier has found its lanes again', async () => {
        await Promise.all(Array.from({ length: lanes }, (_, lane) => tier.tier.lane(lane)))
        return true
      })
    },
    settle: () => wait(2),
    close: () => tier.close(),
  }
}

/** One server: on "another primary" it runs once it was started again from its own snapshot. */
export function standaloneServers(server: RedisProcess): ServersOfScene {
  return {
    primaries: () => Promise.resolve([server]),
    moveLanes: async () => {
      await server.command('SAVE')
      await server.restart()
      await server.command('CONFIG', 'SET', 'save', '')
    },
  }
}

export function clusterServers(cluster: RedisCluster): ServersOfScene {
  return {
    primaries: async () => (await cluster.primaries()).map(node => node.process),
    moveLanes: async () => {
      const nodes = await cluster.primaries()
      const moves: [number, number][] = []
      for (const [index, node] of nodes.entries()) {
        for (const key of (await node.command('KEYS', '*')) as string[]) {
          moves.push([Number(await node.command('CLUSTER', 'KEYSLOT', key)), index])
        }
      }
      for (const [slot, index] of new Map(moves)) await cluster.migrateSlot(slot, nodes[(index + 1) % nodes.length]!)
    },
  }
}
