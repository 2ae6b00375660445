// Where other systems are, as a user writes it: the database of record, the servers of a tier, and tables of the command line.
// What cannot be read is undefined; the settings say what is allowed. Not for: connecting to anything.

/** `redis` is the same as `valkey`. */
const schemes: ReadonlyMap<string, Pick<TierAddress, 'kind' | 'tls'>> = new Map([
  ['valkey', { kind: 'valkey', tls: false }],
  ['valkeys', { kind: 'valkey', tls: true }],
  ['redis', { kind: 'valkey', tls: false }],
  ['rediss', { kind: 'valkey', tls: true }],
  ['tidemark', { kind: 'tidemark', tls: false }],
  ['tidemarks', { kind: 'tidemark', tls: true }],
])

export const tierSchemes: readonly string[] = [...schemes.keys()]

export interface TierAddress {
  readonly kind: 'valkey' | 'tidemark'
  readonly tls: boolean
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: string | undefined
}

const DEFAULT_PORT = 6379

/** `valkey://user:password@host:port`; a password alone is `valkey://:password@host`. */
export function parseTier(text: string): TierAddress | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const scheme = schemes.get(url?.protocol.slice(0, -1) ?? '')
  if (url === undefined || scheme === undefined || url.hostname === '' || url.port === '0') return undefined
  if (!['', '/', '/0'].includes(url.pathname) || url.search !== '' || url.hash !== '') return undefined
  const username = decoded(url.username)
  const password = decoded(url.password)
  if (username === undefined || password === undefined) return undefined
  return {
    ...scheme,
    // Brackets belong to the URL, not to the IPv6 address.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
  }
}

export type SourceAddress =
  | { readonly kind: 'postgres'; readonly url: string }
  /** As written: relative to what, the setting's help says. */
  | { readonly kind: 'sqlite'; readonly file: string }

export function parseSource(text: string): SourceAddress | undefined {
  if (text.startsWith('sqlite:')) {
    const file = text.slice('sqlite:'.length)
    return file === '' || file.startsWith('//') || file.includes('\0') ? undefined : { kind: 'sqlite', file }
  }
  if (!URL.canParse(text)) return undefined
  const { protocol, username, password, pathname } = new URL(text)
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') return undefined
  return [username, password, pathname].some(part => decoded(part) === undefined)
    ? undefined
    : { kind: 'postgres', url: text }
}

export interface TableAddress {
  readonly name: string
  readonly table: string
}

/** `users=public.users`, or `users` for a table of the keyspace's name. */
export function parseTable(text: string): TableAddress | undefined {
  const match = /^([A-Za-z0-9_.-]{1,64})(?:=([^=]+))?$/.exec(text)
  return match === null ? undefined : { name: match[1]!, table: match[2] ?? match[1]! }
}

/** A URL without what is secret in it, for messages. */
export function withoutPassword(text: string): string {
  return text.replaceAll(/(\/\/[^/@:\s]*):[^@\s]*@/g, '$1:***@')
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
