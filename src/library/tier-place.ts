// The shared tier as a user names it: one URL, or several nodes of one cluster.
import { parseTier, tierSchemes, withoutPassword } from '../config/addresses.ts'
import { limits } from '../base/limits.ts'
import type { TierPlace } from '../tier/open-tier.ts'
import { invalid } from './options.ts'

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

const PREFIX = 'tm'
const SEALED = '-sealed'

/**
 * Those who encrypt have lanes of their own, under another prefix: others could not read their records. Throws OPTION_INVALID.
 */
export function tierPlaceOf(given: string | readonly string[] | TierOptions, encrypts: boolean): TierPlace {
  const options: TierOptions =
    typeof given === 'string' || Array.isArray(given) ? { url: given } : (given as TierOptions)
  const urls = typeof options.url === 'string' ? [options.url] : options.url
  const addresses = urls.map(url => {
    const address = parseTier(url)
    if (address === undefined) throw invalid('tier', withoutPassword(url), `${tierSchemes.join('://, ')}:// host:port`)
    return address
  })
  const [first] = addresses
  if (first === undefined) throw invalid('tier', urls, 'at least one URL')
  const { kind, tls, username, password } = first
  for (const other of addresses) {
    if (other.kind !== kind || other.tls !== tls || other.username !== username || other.password !== password) {
      throw invalid('tier', urls.map(withoutPassword), 'nodes of one cluster, all with one scheme, user and password')
    }
  }
  if (encrypts && kind === 'tidemark') {
    throw invalid('encryption', 'a key ring besides a tier of kind tidemark', 'a tier of kind valkey, or none')
  }
  const { lanes = limits.lanesDefault, ca } = options
  const prefix = (options.prefix ?? PREFIX) + (encrypts ? SEALED : '')
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
