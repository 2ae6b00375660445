// Whether an address may be listened on: without a password nothing but loopback, and nothing that another process has.
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { BlockList, createServer, isIP } from 'node:net'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { Listener, listenError } from './transport.ts'

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

/** A port that no other Tidemark server of this machine listens on until it is released. */
export interface TakenPort {
  readonly port: number
  release(): void
}

/** Port 0: how many ports of the system's choice may be in other servers' hands before that is an error. */
const PORTS_TRIED = 16

/**
 * Takes a port for the threads that will share it; the system chooses for 0. Threads that share a port would join another
 * server's silently, each server with a part of the connections. So the port is bound for a moment without sharing, which
 * finds who listens already, and held by name until `release`, which finds who has bound it for a moment too.
 * Rejects with ADDRESS_TAKEN or ADDRESS_REFUSED.
 */
export async function takePort(host: string, wanted: number): Promise<TakenPort> {
  for (let tried = 1; ; tried++) {
    const listener = await listenBriefly(host, wanted, false)
    const port = listener.port
    const name = `${listener.host} ${port}`
    listener.stopAccepting()
    try {
      return { port, release: await holdName(name) }
    } catch (thrown) {
      if (wanted === 0 && tried < PORTS_TRIED) continue
      throw listenError(host, port, thrown as NodeJS.ErrnoException)
    }
  }
}

/**
 * Holds `name` among all processes of this network namespace, in which ports are unique too: as a socket in Linux's abstract
 * namespace (unix(7)), which leaves no file and ends with its process, however it ends. Elsewhere, and where a sandbox allows
 * no such sockets, nothing is held. Resolves with what lets go; rejects with EADDRINUSE.
 */
async function holdName(name: string): Promise<() => void> {
  if (process.platform !== 'linux') return () => {}
  const server = createServer(socket => socket.destroy())
  try {
    server.listen(`\0tidemark ${name}`)
    await once(server, 'listening')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EADDRINUSE') throw thrown
    return () => {}
  }
  server.unref()
  return () => void server.close()
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
