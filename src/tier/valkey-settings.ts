// What a tier checks when it connects: that the lanes are as many as those who came before have, and that the servers are set up
// for it. Not for: the functions (valkey-functions.ts).
import { messageOf, TidemarkError } from '../base/errors.ts'
import { FORMAT_VERSION } from './valkey-bytes.ts'
import { slotOf } from './valkey-lanes.ts'
import type { ValkeyReply } from './valkey-connection.ts'
import type { ValkeyCall, ValkeyNodes } from './valkey-nodes.ts'

/** The first to come writes down the number of lanes; all others have to have the same. Rejects with TIER_MISMATCH. */
export async function checkLanes(nodes: ValkeyNodes, prefix: string, lanes: number): Promise<void> {
  const key = Buffer.from(`${prefix}:lanes`)
  const slot = slotOf(key)
  const own = `${FORMAT_VERSION} ${lanes}`
  const get = async (): Promise<Buffer | null> => (await ask(nodes, { slot, args: ['GET', key] })) as Buffer | null
  let bytes = await get()
  if (bytes === null) {
    await ask(nodes, { slot, args: ['SET', key, own, 'NX'] })
    bytes = await get()
  }
  const found = bytes?.toString() ?? own
  if (found === own) return
  const [version, theirs] = found.split(' ')
  const what =
    version === String(FORMAT_VERSION)
      ? `the tier has ${theirs} lanes and this process is set to ${lanes}`
      : `the tier has format ${version} and this process format ${FORMAT_VERSION}`
  throw new TidemarkError('TIER_MISMATCH', `${what}; another prefix makes another tier (key ${prefix}:lanes)`)
}

async function ask(nodes: ValkeyNodes, call: ValkeyCall): Promise<ValkeyReply> {
  try {
    return (await nodes.send(call)).reply
  } catch (error) {
    if (error instanceof TidemarkError) throw error
    throw new TidemarkError('TIER_UNAVAILABLE', `the server refused: ${messageOf(error)}`, { cause: error })
  }
}

/** What an operator should change, in a sentence each. */
export async function adviceOn(nodes: ValkeyNodes): Promise<string[]> {
  const advice: string[] = []
  for (const node of nodes.primaries()) {
    const { link } = node.connection
    if (link === undefined) continue
    const memory = String(await link.send(['INFO', 'memory']).catch(() => ''))
    const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1]
    const limit = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0)
    if (policy === undefined || policy.startsWith('volatile-')) continue
    if (policy === 'noeviction' && limit === 0) {
      advice.push(
        `${node.name} has no maxmemory: what the tier holds grows until its values' time to live is over; set it, and volatile-lfu`,
      )
    } else if (policy === 'noeviction') {
      advice.push(
        `${node.name} evicts nothing (maxmemory-policy noeviction): once it is full, nothing new is kept; set volatile-lfu`,
      )
    } else {
      advice.push(
        `${node.name} may evict lane headers (maxmemory-policy ${policy}), which voids all that the lane holds; set volatile-lfu`,
      )
    }
  }
  return advice
}
