// The replication slot: the database's own memory of how far its log was read, and by whom.
// Not for: the stream itself (postgres-replication.ts).
import { TidemarkError, messageOf } from '../base/errors.ts'
import { SQLSTATE, sqlState } from './postgres-errors.ts'
import type { Session } from './postgres-pool.ts'
import { lsnSql } from './postgres-positions.ts'
import { quoteName } from './postgres-statements.ts'

export interface SlotState {
  /** Postgres threw away log that it had not told yet: the slot is good for nothing any more. */
  readonly lost: boolean
  readonly activePid: number | undefined
  readonly confirmed: bigint
}

export async function readSlot(session: Session, name: string): Promise<SlotState | undefined> {
  const text = `
    SELECT plugin, slot_type, database = current_database(), coalesce(wal_status, '') = 'lost', active_pid::text,
           coalesce(${lsnSql('confirmed_flush_lsn')}, '0')
      FROM pg_replication_slots WHERE slot_name = $1`
  const [row] = await session.query({ text, values: [name] })
  if (row === undefined) return undefined
  const [plugin, type, ours, lost, activePid, confirmed] = row
  if (type !== 'logical' || plugin !== 'pgoutput' || ours !== 't') {
    const what = `a ${type} slot${type === 'logical' ? ` with the plugin ${plugin}` : ''}${ours === 't' ? '' : ' of another database'}`
    throw new TidemarkError('FEED_SETUP', `slot ${name} is ${what}; give another name, or drop it: ${dropSql(name)}`)
  }
  const pid = activePid === null ? undefined : Number(activePid)
  return { lost: lost === 't', activePid: pid, confirmed: BigInt(confirmed!) }
}

export function createCommand(name: string): string {
  return `CREATE_REPLICATION_SLOT ${quoteName(name)} LOGICAL pgoutput NOEXPORT_SNAPSHOT`
}

export function startCommand(name: string, publication: string, from: bigint): string {
  const literal = quoteName(publication).replaceAll("'", "''")
  const lsn = `${(from >> 32n).toString(16)}/${(from & 0xffff_ffffn).toString(16)}`.toUpperCase()
  return `START_REPLICATION SLOT ${quoteName(name)} LOGICAL ${lsn} (proto_version '1', publication_names '${literal}', messages 'true')`
}

function dropSql(name: string): string {
  return `SELECT pg_drop_replication_slot('${name.replaceAll("'", "''")}')`
}

/** Drops it, unless it is gone or someone else reads it. */
export async function dropSlot(session: Session, name: string): Promise<void> {
  try {
    await session.query({ text: dropSql(name) })
  } catch (thrown) {
    const state = sqlState(thrown)
    if (state === SQLSTATE.objectInUse) throw taken(name, thrown)
    if (state !== SQLSTATE.undefinedObject) throw setupError(name, thrown)
  }
}

/** Ends the process that reads it. */
export async function endReader(session: Session, name: string): Promise<void> {
  const text = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active'
  try {
    await session.query({ text, values: [name] })
  } catch (thrown) {
    if (sqlState(thrown) !== SQLSTATE.insufficientPrivilege) throw thrown
    const message = `slot ${name}: its reader is stuck and may not be ended: run every Tidemark as the same role, or GRANT pg_signal_backend`
    throw new TidemarkError('FEED_SETUP', message, { cause: thrown })
  }
}

export function taken(name: string, cause?: unknown): TidemarkError {
  return new TidemarkError('FEED_TAKEN', `slot ${name} is read by another process`, { cause })
}

/** What keeps a slot from being made or read: mostly what the server or the role is not set up for. */
export function setupError(name: string, thrown: unknown): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown
  const state = sqlState(thrown)
  const text = messageOf(thrown)
  const make = (message: string): TidemarkError => new TidemarkError('FEED_SETUP', message, { cause: thrown })
  if (state === SQLSTATE.objectInUse) return taken(name, thrown)
  if (state === SQLSTATE.insufficientPrivilege) {
    return make(`${text}; run as a superuser: ALTER ROLE ... REPLICATION (on some hosted databases a role is granted instead: GRANT rds_replication TO ...)`) // prettier-ignore
  }
  if (text.includes('wal_level')) {
    return make(`${text}; run as a superuser and restart the server: ALTER SYSTEM SET wal_level = logical`)
  }
  if (text.includes('all replication slots are in use'))
    return make(`${text}; raise max_replication_slots, or drop slots`)
  if (/^(?:53|28)/.test(state)) return make(`${text}; see max_wal_senders, and pg_hba.conf for this role and database`)
  return new TidemarkError('SOURCE_UNAVAILABLE', `slot ${name}: ${text}`, { cause: thrown })
}
