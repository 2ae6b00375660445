// Whether an address may be listened on: without a password nothing but loopback, and nothing that another process has.
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { Listener } from './transport.ts'

/** Rejects with PASSWORD_REQUIRED unless there is a password or all addresses of `host` are loopback. */
export async function checkExposure(host: string, setting: string, requirepass: string | undefined): Promise<void> {
  if (requirepass !== undefined && requirepass !== '') return
  const addresses = isIP(host) === 0 ? await addressesOf(host, setting) : [host]
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  const open = addresses.find(address => !loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'))
  if (open === undefined) return
  const message = `${setting} is ${host}, which other machines may reach: set a password (requirepass, environment TIDEMARK_REQUIREPASS), or listen on 127.0.0.1`
  throw new TidemarkError('PASSWORD_REQUIRED', message)
}

async function addressesOf(host: string, setting: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch (thrown) {
    const message = `${setting} is ${host}, which is no address of this machine: ${messageOf(thrown)}`
    throw new TidemarkError('ADDRESS_REFUSED', message, { cause: thrown })
  }
}

/**
 * Takes the port for a moment without sharing it, since threads that share theirs would join another server's port
 * silently. Resolves with the port, chosen by the system for 0; rejects with ADDRESS_TAKEN or ADDRESS_REFUSED.
 */
export async function probePort(host: string, port: number): Promise<number> {
  const listener = await listenBriefly(host, port, false)
  const bound = listener.port
  listener.stopAccepting()
  return bound
}

function listenBriefly(host: string, port: number, reusePort: boolean): Promise<Listener> {
  return Listener.listen({ host, port, reusePort, accept: () => undefined, failed: () => {} })
}

/** Whether several threads can listen on one port here; not everywhere they can. */
export async function canReusePort(host: string): Promise<boolean> {
  try {
    const listener = await listenBriefly(host, 0, true)
    listener.stopAccepting()
    return true
  } catch {
    return false
  }
}
