// A Postgres database as a user names it, as its source and its feed want it.
import { readFileSync } from 'node:fs'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { parseSource, withoutPassword } from '../config/addresses.ts'
import type { PostgresDatabase } from '../config/config.ts'
import type { PostgresConnection, PostgresLog } from '../source/postgres-options.ts'
import { invalid, within } from './option-checks.ts'

export interface PostgresSettings {
  readonly name: string
  readonly connection: PostgresConnection
  readonly log: PostgresLog
  readonly connectionsMax: number
}

/** More than a database has as a rule. */
const CONNECTIONS_MAX = 1_000
/** As the server's settings have them. */
const DEFAULTS = { slot: 'tidemark', publication: 'tidemark', connections: 8 } as const

/** Throws OPTION_INVALID. */
export function postgresOptions(given: PostgresDatabase): PostgresSettings {
  const { url, host, port, user, password, database, ca } = given
  const parts = { host, port, user, password, database }
  if (url !== undefined && Object.values(parts).some(part => part !== undefined)) {
    throw invalid('postgres()', 'a url and its parts', 'one or the other')
  }
  if (url !== undefined && parseSource(url)?.kind !== 'postgres') {
    throw invalid(
      'postgres({ url })',
      URL.canParse(url) ? withoutPassword(url) : url,
      'postgres://user:password@host:port/database',
    )
  }
  if (given.connections !== undefined) within('postgres({ connections })', given.connections, 1, CONNECTIONS_MAX)
  if (given.outbox !== undefined && (given.slot !== undefined || given.publication !== undefined)) {
    throw invalid('postgres()', 'an outbox besides a slot or publication', 'one or the other')
  }
  const { slot = DEFAULTS.slot, publication = DEFAULTS.publication, outbox } = given
  return {
    name: url === undefined ? (database ?? 'postgres') : new URL(url).pathname.slice(1),
    connection: { url, ...parts, ...(ca === undefined ? {} : { caPem: readPem(ca) }) },
    log: outbox === undefined ? { kind: 'publication', slot, publication } : { kind: 'outbox', schema: outbox },
    connectionsMax: given.connections ?? DEFAULTS.connections,
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new TidemarkError('OPTION_INVALID', `postgres({ ca }): cannot read ${file}: ${messageOf(cause)}`, { cause })
  }
}
