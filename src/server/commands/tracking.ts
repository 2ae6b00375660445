// CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR, with the replies of Redis 7.0. What is tracked and how clients are
// told is in server/tracking.ts.
import { parseInt64 } from '../../base/bytes.ts'
import { ClientMode, type TrackingState } from '../special-state.ts'
import { CommandError, type Respond } from './command.ts'
import { type ServerCall, SYNTAX_ERROR } from './server-call.ts'

interface Options {
  redirect: number
  broadcast: boolean
  optIn: boolean
  optOut: boolean
  noLoop: boolean
  readonly prefixes: string[]
}

function parse(call: ServerCall): Options {
  const options: Options = { redirect: 0, broadcast: false, optIn: false, optOut: false, noLoop: false, prefixes: [] }
  for (let i = 3; i < call.argc; i++) {
    const more = i + 1 < call.argc
    if (call.is(i, 'REDIRECT') && more) {
      i++
      if (options.redirect !== 0) throw new CommandError('ERR A client can only redirect to a single other client')
      const id = parseInt64(call.buffer, call.start[i]!, call.end[i]!)
      if (id === undefined) throw new CommandError('ERR value is not an integer or out of range')
      options.redirect = Number(id)
    } else if (call.is(i, 'BCAST')) options.broadcast = true
    else if (call.is(i, 'OPTIN')) options.optIn = true
    else if (call.is(i, 'OPTOUT')) options.optOut = true
    else if (call.is(i, 'NOLOOP')) options.noLoop = true
    else if (call.is(i, 'PREFIX') && more) {
      i++
      options.prefixes.push(call.buffer.toString('latin1', call.start[i], call.end[i]))
    } else throw new CommandError(SYNTAX_ERROR)
  }
  return options
}

function overlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

function shown(prefix: string): string {
  return Buffer.from(prefix, 'latin1').toString()
}

function checkPrefixes(prefixes: readonly string[], old: readonly string[]): void {
  const rule = 'Prefixes for a single client must not overlap.'
  for (const [i, prefix] of prefixes.entries()) {
    const existing = old.find(other => overlap(other, prefix))
    if (existing !== undefined) {
      throw new CommandError(
        `ERR Prefix '${shown(prefix)}' overlaps with an existing prefix '${shown(existing)}'. ${rule}`,
      )
    }
    const provided = prefixes.find((other, j) => j > i && overlap(other, prefix))
    if (provided !== undefined) {
      throw new CommandError(
        `ERR Prefix '${shown(prefix)}' overlaps with another provided prefix '${shown(provided)}'. ${rule}`,
      )
    }
  }
}

function check(options: Options, before: TrackingState | undefined): void {
  if (!options.broadcast && options.prefixes.length > 0) {
    throw new CommandError('ERR PREFIX option requires BCAST mode to be enabled')
  }
  if (before !== undefined && before.broadcast !== options.broadcast) {
    throw new CommandError(
      "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
    )
  }
  if (options.broadcast && (options.optIn || options.optOut)) {
    throw new CommandError('ERR OPTIN and OPTOUT are not compatible with BCAST')
  }
  if (options.optIn && options.optOut) {
    throw new CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
  }
  if ((options.optIn && before?.optOut === true) || (options.optOut && before?.optIn === true)) {
    throw new CommandError(
      "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
    )
  }
  if (options.broadcast) checkPrefixes(options.prefixes, before?.prefixes ?? [])
}

export function tracking(call: ServerCall): void | Promise<Respond> {
  const { client, out, server } = call
  const options = parse(call)
  const begin = (): void => {
    if (call.is(2, 'ON')) turnOn(client, server, options)
    else if (call.is(2, 'OFF')) server.tracking.stop(client)
    else throw new CommandError(SYNTAX_ERROR)
  }
  if (options.redirect === 0) {
    begin()
    return out.simple('OK')
  }
  const on = call.is(2, 'ON')
  return exists(call, options.redirect).then(found => {
    if (!found) throw new CommandError('ERR The client ID you want redirect to does not exist')
    if (on) turnOn(client, server, options)
    else server.tracking.stop(client)
    return out => out.simple('OK')
  })
}

async function exists({ server }: ServerCall, id: number): Promise<boolean> {
  if (server.clients.has(id)) return true
  return (await server.askPeers({ about: 'list', filter: { ids: [id] } })).length > 0
}

function turnOn(client: ServerCall['client'], server: ServerCall['server'], options: Options): void {
  const before = client.special?.tracking
  check(options, before)
  const { redirect, broadcast, noLoop } = options
  const prefixes = [...(before?.prefixes ?? []), ...options.prefixes]
  if (broadcast && prefixes.length === 0) prefixes.push('')
  server.tracking.start(client, {
    redirect,
    broadcast,
    noLoop,
    prefixes,
    optIn: options.optIn || before?.optIn === true,
    optOut: options.optOut || before?.optOut === true,
    caching: false,
    broken: false,
    rows: before?.rows ?? false,
    keys: before?.keys ?? new Set(),
  })
}

export function caching(call: ServerCall): void {
  const { out } = call
  const state = call.client.special?.tracking
  if (state === undefined || !(state.optIn || state.optOut)) {
    return out.error(
      'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    )
  }
  if (call.is(2, 'YES')) {
    if (!state.optIn) return out.error('ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.')
  } else if (call.is(2, 'NO')) {
    if (!state.optOut) return out.error('ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.')
  } else return out.error(SYNTAX_ERROR)
  state.caching = true
  out.simple('OK')
}

export function trackingInfo({ client, out }: ServerCall): void {
  const state = client.special?.tracking
  const flags: string[] = [state === undefined ? 'off' : 'on']
  if (state !== undefined) {
    if (state.broadcast) flags.push('bcast')
    if (state.optIn) flags.push('optin')
    if (state.optIn && state.caching) flags.push('caching-yes')
    if (state.optOut) flags.push('optout')
    if (state.optOut && state.caching) flags.push('caching-no')
    if (state.noLoop) flags.push('noloop')
    if (state.broken) flags.push('broken_redirect')
  }
  out.map(3)
  out.text('flags')
  out.set(flags.length)
  for (const flag of flags) out.text(flag)
  out.text('redirect')
  out.integer(state === undefined ? -1 : state.redirect)
  out.text('prefixes')
  const prefixes = (state?.prefixes ?? []).toSorted()
  out.array(prefixes.length)
  for (const prefix of prefixes) out.bulk(Buffer.from(prefix, 'latin1'))
}

export function getRedirection({ client, out }: ServerCall): void {
  out.integer(client.special?.tracking?.redirect ?? -1)
}

/** Whether what the client's next command reads is to be tracked. */
export function tracksReads(client: ServerCall['client']): boolean {
  if ((client.modes & ClientMode.tracking) === 0) return false
  const state = client.special!.tracking!
  if (state.broadcast) return false
  return state.optIn ? state.caching : state.optOut ? !state.caching : true
}
