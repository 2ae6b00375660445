// CONFIG SET: the settings that may change while the server runs, for all threads at once and until it ends; they are not
// written to the configuration. All of one CONFIG SET or none. What else Redis lets one set is refused with the reason.
import { parseInt64 } from '../../base/bytes.ts'
import { LiveNumber, PASSWORD_BYTES_MAX } from '../live-state.ts'
import { CommandError } from './command.ts'
import { type Server, type ServerCall, SYNTAX_ERROR } from './server-call.ts'

interface NumberSetting {
  readonly at: number
  readonly min: bigint
  readonly max: bigint
}

const INT_MAX = 2_147_483_647n
const LONG_MAX = 9_223_372_036_854_775_807n

const numberSettings: Readonly<Record<string, NumberSetting>> = {
  maxclients: { at: LiveNumber.connectionsMax, min: 1n, max: 4_294_967_295n },
  'slowlog-log-slower-than': { at: LiveNumber.slowerThan, min: -1n, max: LONG_MAX },
  'slowlog-max-len': { at: LiveNumber.slowLogMax, min: 0n, max: LONG_MAX },
  timeout: { at: LiveNumber.idleSeconds, min: 0n, max: INT_MAX },
  'latency-monitor-threshold': { at: LiveNumber.latencyThreshold, min: 0n, max: LONG_MAX },
}

/** Parameters of Redis that cannot change here, and why. */
const refusals: Readonly<Record<string, string>> = {
  maxmemory: 'memory is taken at the start (--memory)',
  'maxmemory-policy': 'there is one policy',
  'notify-keyspace-events': 'there are no keyspace notifications; CLIENT TRACKING tells of changes',
  save: 'snapshots are set at the start (--snapshot, --snapshot-every)',
  appendonly: 'there is no append-only file',
}

/** Values as CONFIG GET tells them. */
export function liveParameters({ live }: Pick<Server, 'live'>): Record<string, string> {
  const told: Record<string, string> = { requirepass: live.password }
  for (const [name, { at }] of Object.entries(numberSettings)) told[name] = String(live.numbers[at]!)
  return told
}

function failed(name: string, reason: string): CommandError {
  return new CommandError(`ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}`)
}

export function setConfig(call: ServerCall, known: Readonly<Record<string, string>>): void {
  if (call.argc % 2 !== 0) throw new CommandError(SYNTAX_ERROR)
  const apply: (() => void)[] = []
  const seen = new Set<string>()
  for (let i = 2; i < call.argc; i += 2) {
    const asked = call.text(i)
    const name = asked.toLowerCase()
    if (!Object.hasOwn(known, name)) {
      throw new CommandError(`ERR Unknown option or number of arguments for CONFIG SET - '${asked}'`)
    }
    if (seen.has(name)) throw failed(asked, 'duplicate parameter')
    seen.add(name)
    apply.push(prepare(call, i, name, known[name]!))
  }
  for (const change of apply) change()
  call.out.simple('OK')
}

function prepare(call: ServerCall, i: number, name: string, present: string): () => void {
  const { live } = call.server
  const setting = Object.hasOwn(numberSettings, name) ? numberSettings[name] : undefined
  if (setting !== undefined) {
    const value = parseInt64(call.buffer, call.start[i + 1]!, call.end[i + 1]!)
    if (value === undefined) throw failed(name, "argument couldn't be parsed into an integer")
    const { at, min, max } = setting
    if (value < min || value > max) throw failed(name, `argument must be between ${min} and ${max} inclusive`)
    return () => {
      live.numbers[at] = Number(value)
    }
  }
  if (name === 'requirepass') return preparePassword(call, i)
  // What is so already may be said again.
  if (Object.hasOwn(refusals, name) && call.text(i + 1).toLowerCase() === present) return () => {}
  throw failed(name, refusals[name] ?? "can't set immutable config")
}

function preparePassword(call: ServerCall, i: number): () => void {
  const { live, settings } = call.server
  const password = call.text(i + 1)
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
    throw failed('requirepass', `a password may have ${PASSWORD_BYTES_MAX} bytes`)
  }
  const loopback = /^(127\.|::1$|localhost$)/.test(settings.host) && /^(127\.|::1$|localhost$)/.test(settings.adminHost)
  if (password === '' && !loopback) {
    throw failed('requirepass', 'only loopback addresses are listened on while no password is set')
  }
  return () => {
    live.password = password
  }
}
