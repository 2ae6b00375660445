// A Postgres database for the library, in this thread: its rows, and its log of changes.
// Not for: what is made of them (open-rows.ts); servers (cache/run-postgres.ts), which do the same in a thread of its own for
// memory that threads share.
import { TidemarkError } from '../base/errors.ts'
import { PostgresFeed } from '../source/postgres-feed.ts'
import type { PostgresFeedOptions, PostgresKeyspace } from '../source/postgres-options.ts'
import { PostgresOutbox } from '../source/postgres-outbox.ts'
import { PostgresSource } from '../source/postgres-source.ts'
import { openRows, type RowsParts } from './open-rows.ts'
import type { PostgresSettings } from './postgres-options.ts'
import type { OpenedSource, OpenParts } from './opened.ts'

export interface PostgresParts
  extends OpenParts, PostgresSettings, Pick<RowsParts, 'range' | 'tier' | 'spelt' | 'tide'> {
  readonly keyspaces: readonly PostgresKeyspace[]
}

/** Rejects as PostgresSource.open does. */
export async function openPostgres(parts: PostgresParts): Promise<OpenedSource> {
  const { name, connection, keyspaces, log, range, clock, random } = parts
  const common: PostgresFeedOptions = { name, connection, keyspaces, log, lanes: range.lanes, clock, random }
  const rows = await PostgresSource.open({ ...common, connectionsMax: parts.connectionsMax })
  return openRows({
    ...parts,
    rows,
    descriptions: rows.describe(),
    feed: () => (log.kind === 'outbox' ? new PostgresOutbox(common) : new PostgresFeed(common)),
    taken: () => taken(parts),
  })
}

function taken({ name, log }: PostgresParts): TidemarkError {
  const what = log.kind === 'outbox' ? `outbox '${log.schema}'` : `slot '${log.slot}'`
  const option = log.kind === 'outbox' ? 'outbox' : 'slot'
  const message =
    `database '${name}': another process reads its changes by ${what}, so nothing is proved here and every read asks the ` +
    `database; processes that share no tier need one each: postgres({ ${option} })`
  return new TidemarkError('FEED_TAKEN', message)
}
