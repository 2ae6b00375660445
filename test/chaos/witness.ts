// Asks the database itself, all the time, which rows have changed: the history learns of a commit although whoever made it has
// no answer yet, because a server was stopped or a connection cut. A change that a snapshot does not show has a transaction
// that is not below the snapshot's xmin, so that nothing is missed between one look and the next.
// Not for: rows that are gone (those who remove them tell).
import type { Clock } from '../../src/base/clock.ts'
import { sleep } from '../../src/base/clock.ts'
import type { History } from './history.ts'
import { SqlLine } from './sql-line.ts'

export interface WitnessOptions {
  readonly history: History
  readonly url: string
  readonly clock: Clock
  readonly pauseMs: number
  readonly stopped: () => boolean
}

interface Seen {
  readonly floor: string
  /** null: no row has changed. */
  readonly id: string | null
  readonly version: string
  readonly seal: string
  readonly writer: string
}

const sql = `
  SELECT floor, id, version, seal, writer
  FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS floor) AS now
  LEFT JOIN items ON items.xmin::text::bigint >= $1::bigint`

/** Until it is stopped. */
export async function witness({ history, url, clock, pauseMs, stopped }: WitnessOptions): Promise<void> {
  const line = new SqlLine({ url, clock, stopped })
  let floor = '0'
  while (!stopped()) {
    const rows = await line.query<Seen>(sql, [floor])
    const nowMs = clock.monotonicMs()
    for (const { id, version, seal, writer } of rows ?? []) {
      if (id === null) continue
      const row = { id: Number(id), version: Number(version), seal: Number(seal), writer: Number(writer) }
      history.witnessed(row, nowMs)
    }
    floor = rows?.[0]?.floor ?? floor
    await sleep(clock, pauseMs)
  }
  line.close()
}
