// The tier of a configuration: one place out of all its addresses. Not for: connecting to it.
import type { ServerSettings, TierSettings } from '../server/settings.ts'
import { parseTier, withoutPassword } from './addresses.ts'
import type { Layers } from './layers.ts'

/** `absolute` gives the path of a file that a setting names. */
export function tierOf(layers: Layers, absolute: (path: string) => string | undefined): TierSettings | undefined {
  const urls = layers.top('tier.url') as readonly string[] | undefined
  const lanes = layers.top('tier.lanes') as number
  const ca = absolute('tier.ca')
  if (urls === undefined) {
    if (ca !== undefined) layers.mistakes.add('tier.ca', 'there is no tier: set tier.url (--tier) too')
    return undefined
  }
  const addresses = urls.map(url => parseTier(url)!)
  const [first] = addresses
  const { kind, tls, username, password } = first!
  const shown = urls.map(withoutPassword).join(', ')
  for (const other of addresses) {
    if (other.kind !== kind || other.tls !== tls) {
      layers.mistakes.add('tier.url', `got ${shown}, allowed are nodes of one cluster, all with the same scheme`)
      break
    }
    if (other.username !== username || other.password !== password) {
      layers.mistakes.add('tier.url', `got ${shown}, allowed is the same user and password for all nodes of a cluster`)
      break
    }
  }
  if (kind === 'tidemark' && addresses.length > 1) {
    layers.mistakes.add('tier.url', `got ${shown}, allowed is one server of kind tidemark: it has no replicas`)
  }
  if (ca !== undefined && !tls) layers.mistakes.add('tier.ca', `is for TLS: with it the scheme is ${kind}s://`)
  const seeds = addresses.map(({ host, port }) => ({ host, port }))
  return { kind, seeds, tls, username, password, ca, lanes, prefix: layers.top('tier.prefix') as string }
}

/** What the tier and the databases have to be to each other. */
export function checkTier(layers: Layers, { tier, databases, keyspaces, snapshot }: ServerSettings): void {
  const shared = databases.filter(({ kind }) => kind === 'postgres').map(({ name }) => name)
  if (tier !== undefined && shared.length > 1) {
    const what = `holds the rows of one database, and there are ${shared.join(' and ')}: run a server for each`
    layers.mistakes.add('tier.url', what)
  }
  if (tier !== undefined && snapshot !== undefined) {
    layers.mistakes.add(
      'snapshot.path',
      'keys that are no rows are on the servers of the tier: there is nothing to keep',
    )
  }
  if (layers.top('source') !== undefined && keyspaces.length === 0 && layers.mistakes.count === 0) {
    const what = 'names a database, and no keyspace is in it: add one, such as --keyspace users=public.users'
    layers.mistakes.add('source', what)
  }
}
