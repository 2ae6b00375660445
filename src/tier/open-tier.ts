// A tier by its address: which kind, which servers, with what credentials. A server that starts while its tier cannot be
// reached does not wait for it: rows come from the database until the tier is there (late-tier.ts).
// Not for: reading the address from a configuration (config/).
import { readFileSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { LateTier } from './late-tier.ts'
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

export interface OpenTierOptions {
  readonly clock: Clock
  readonly random: Random
  readonly warn: (message: string) => void
}

/** Rejects with TIER_MISMATCH, or CONFIG_INVALID; not because nobody answers. */
export async function openTier(place: TierPlace, options: OpenTierOptions): Promise<SharedTier> {
  const caPem = place.ca === undefined ? undefined : readCertificates(place.ca)
  const tier = new LateTier(place.lanes, options.clock, () => connect(place, caPem, options))
  try {
    await tier.firstAttempt()
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'TIER_UNAVAILABLE') options.warn(error.message)
    else {
      await tier.close()
      throw error
    }
  }
  return tier
}

async function connect(place: TierPlace, ca: string | undefined, options: OpenTierOptions): Promise<SharedTier> {
  const { seeds, tls, username, password, lanes, prefix } = place
  const { clock, random, warn } = options
  const credentials = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
  if (place.kind === 'tidemark') {
    const address = { ...seeds[0]!, tls, ...credentials, ...(ca === undefined ? {} : { ca }) }
    const tier = new TidemarkTier({ address, lanes, clock })
    try {
      await tier.ready()
      return tier
    } catch (error) {
      await tier.close()
      throw error
    }
  }
  const { ValkeyTier } = await importValkeyTier()
  const socket = tls ? { tls: true as const, ...(ca === undefined ? {} : { ca }) } : undefined
  const client = { ...credentials, ...(socket === undefined ? {} : { socket }) }
  return ValkeyTier.connect({ servers: seeds, lanes, prefix, client, clock, random, warn })
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
