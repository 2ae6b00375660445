// The shared tier as a user names it: one URL, or several nodes of one cluster.
import { parseTier, tierSchemes, withoutPassword, type TierAddress } from '../config/addresses.ts'
import { limits } from '../base/limits.ts'
import { openTier, type OpenTierOptions, type TierPlace } from '../tier/open-tier.ts'
import type { SharedTier } from '../tier/tier.ts'
import { invalid, known, within } from './option-checks.ts'

export interface TierOptions {
  /** `valkey://host:port`, several nodes of one cluster, or `tidemark://host:port`; with TLS `valkeys://`, `tidemarks://`. */
  readonly url: string | readonly string[]
  /** The parts that its values are divided into. The same for all processes that share it. */
  readonly lanes?: number | undefined
  /** How the names of its keys begin. Deployments that share a cluster take one each. */
  readonly prefix?: string | undefined
  /** A file of certificates in PEM that its servers are to be known by. */
  readonly ca?: string | undefined
}

/** Where processes share a tier, which is opened once for each part of it. */
export interface SharedPlace {
  readonly lanes: number
  /** Rejects with TIER_MISMATCH, or CONFIG_INVALID; not because nobody answers. */
  open(options: OpenTierOptions): Promise<SharedTier>
}

const PREFIX = 'tm'
const PREFIXES = /^[A-Za-z0-9]{1,64}$/
const SEALED = '-sealed'

/** undefined: nothing is shared. Throws OPTION_INVALID. */
export function sharedPlaceOf(
  given: string | readonly string[] | TierOptions | undefined,
  encrypts: boolean,
): SharedPlace | undefined {
  if (given === undefined) return undefined
  const place = tierPlaceOf(given, encrypts)
  return { lanes: place.lanes, open: options => openTier(place, options) }
}

/**
 * Those who encrypt have lanes of their own, under another prefix: others could not read their records. Throws OPTION_INVALID.
 */
export function tierPlaceOf(given: string | readonly string[] | TierOptions, encrypts: boolean): TierPlace {
  const options: TierOptions =
    typeof given === 'string' || Array.isArray(given) ? { url: given } : (given as TierOptions)
  known('tier', 'tier.', options, ['url', 'lanes', 'prefix', 'ca'])
  const urls: readonly string[] = typeof options.url === 'string' ? [options.url] : options.url
  if (!Array.isArray(urls)) throw invalid('tier.url', urls, 'one URL, or several')
  const addresses = urls.map(addressOf)
  const [first] = addresses
  if (first === undefined) throw invalid('tier', urls, 'at least one URL')
  const { kind, tls, username, password } = first
  for (const other of addresses) {
    if (other.kind !== kind || other.tls !== tls || other.username !== username || other.password !== password) {
      throw invalid('tier', urls.map(withoutPassword), 'nodes of one cluster, all with one scheme, user and password')
    }
  }
  if (kind === 'tidemark' && addresses.length > 1) {
    throw invalid('tier', urls.map(withoutPassword), 'one server of kind tidemark: it has no replicas')
  }
  if (encrypts && kind === 'tidemark') {
    throw invalid('encryption', 'a key ring besides a tier of kind tidemark', 'a tier of kind valkey, or none')
  }
  const { lanes = limits.lanesDefault, prefix: own = PREFIX, ca } = options
  within('tier.lanes', lanes, 1, limits.lanesMax)
  if (typeof own !== 'string' || !PREFIXES.test(own)) throw invalid('tier.prefix', own, '1 to 64 letters and digits')
  if (ca !== undefined && !tls) throw invalid('tier.ca', ca, `a file only with TLS, by the scheme ${kind}s://`)
  const prefix = own + (encrypts ? SEALED : '')
  return {
    kind,
    tls,
    username,
    password,
    ca,
    lanes,
    prefix,
    seeds: addresses.map(({ host, port }) => ({ host, port })),
  }
}

function addressOf(url: unknown): TierAddress {
  const address = typeof url === 'string' ? parseTier(url) : undefined
  if (address !== undefined) return address
  const allowed = tierSchemes.map(scheme => `${scheme}://host:port`).join(', ')
  throw invalid('tier', typeof url === 'string' ? withoutPassword(url) : url, allowed)
}
