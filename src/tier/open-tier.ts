// A tier by its address: which kind, which servers, with what credentials. A server that starts while its tier cannot be
// reached does not wait for it: rows come from the database until the tier is there (late-tier.ts).
// Not for: reading the address from a configuration (config/).
import { readFileSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { LateTier } from './late-tier.ts'
import type { TierPart } from './tidemark-protocol.ts'
import type { TierAddress } from './tier-connection.ts'
import { TidemarkTier } from './tidemark-tier.ts'
import type { SharedTier } from './tier.ts'
import type * as valkey from './valkey-tier.ts'

/** Plain data: it travels between threads. */
export interface TierPlace {
  readonly kind: 'valkey' | 'tidemark'
  /** At least one. Of a cluster any node finds the others; of kind tidemark there is one. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** A file of certificates in PEM, absolute. */
  readonly ca: string | undefined
  readonly lanes: number
  /** How the names of its keys begin. */
  readonly prefix: string
}

/** What a connection to one of its servers needs besides the address. Throws CONFIG_INVALID. */
export function credentialsOf({ tls, username, password, ca }: TierPlace): Omit<TierAddress, 'host' | 'port'> {
  return {
    tls,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca: readCertificates(ca) }),
  }
}

export interface OpenTierOptions {
  readonly clock: Clock
  readonly random: Random
  /** Told of what is wrong and does not keep the tier from being opened: TIER_UNAVAILABLE, TIER_SETUP. */
  readonly warn: (warning: TidemarkError) => void
  /** Lanes belong to one kind of source: those for values without a log are others than those for rows. */
  readonly part?: TierPart
}

/** Rejects with TIER_MISMATCH, or CONFIG_INVALID; not because nobody answers. */
export async function openTier(place: TierPlace, options: OpenTierOptions): Promise<SharedTier> {
  const credentials = credentialsOf(place)
  const tier = new LateTier(place.lanes, options.clock, () => connect(place, credentials, options))
  try {
    await tier.firstAttempt()
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'TIER_UNAVAILABLE') options.warn(error)
    else {
      await tier.close()
      throw error
    }
  }
  return tier
}

type Credentials = ReturnType<typeof credentialsOf>

async function connect(place: TierPlace, credentials: Credentials, options: OpenTierOptions): Promise<SharedTier> {
  const { kind, seeds, lanes, prefix } = place
  const { clock, random, warn, part = 'rows' } = options
  if (kind === 'tidemark') {
    const tier = new TidemarkTier({ address: { ...seeds[0]!, ...credentials }, lanes, clock, part })
    try {
      await tier.ready()
      return tier
    } catch (error) {
      await tier.close()
      throw error
    }
  }
  const { ValkeyTier } = await importValkeyTier()
  const { tls, ca, ...user } = credentials
  const socket = tls ? { socket: { tls: true as const, ...(ca === undefined ? {} : { ca }) } } : {}
  return ValkeyTier.connect({
    servers: seeds,
    lanes,
    prefix: part === 'rows' ? prefix : `${prefix}-${part}`,
    client: { ...user, ...socket },
    clock,
    random,
    warn,
  })
}

// The client is a package of its own, which those who have no such tier do not need.
async function importValkeyTier(): Promise<typeof valkey> {
  try {
    return await import('./valkey-tier.ts')
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    const message = 'a tier of Valkey or Redis needs the package `redis`: npm install redis'
    throw new TidemarkError('CONFIG_INVALID', message, { cause })
  }
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new TidemarkError('CONFIG_INVALID', `tier.ca: cannot read ${file}: ${messageOf(cause)}`, { cause })
  }
}
