// Writes by plain SQL, made inside the database, so that no client needs the processor: each writer is one call of a block that
// commits one transaction after the other. Not for: writes through Tidemark (writer-main.ts).
import type pg from 'pg'
import { familyMs } from './processor-time.ts'
import type { TideRun } from './run.ts'
import { TABLE } from './scene.ts'

const WRITERS = 2
/** Rows of one transaction of `manyRows`. */
export const BATCH = 100

export interface SqlLoad {
  /** SQL of one transaction; `i` is its number. */
  readonly transaction: (writer: number, rows: number) => string
  readonly rowsEach: number
  /** By all writers together; undefined: as many as the database commits. */
  readonly rowsPerSecond?: number
  /** Commits wait for no disk, whatever the database's setting is. */
  readonly asynchronous?: boolean
}

export function manyRows(writer: number, rows: number): string {
  // Rows of one writer are not another's: nobody waits for a lock.
  const first = `1 + ((i * ${BATCH * WRITERS} + ${writer * BATCH}) % ${rows - BATCH * WRITERS})`
  return `UPDATE ${TABLE} SET amount = amount + 1 WHERE id BETWEEN ${first} AND ${first} + ${BATCH - 1}`
}

export function oneRow(writer: number, rows: number): string {
  const half = Math.floor(rows / WRITERS)
  return `UPDATE ${TABLE} SET amount = amount + 1 WHERE id = 1 + ${writer * half} + ((i * 7919) % ${half})`
}

export interface Written extends Readonly<Record<string, number>> {
  readonly seconds: number
  readonly rowsPerSecond: number
}

/** Writes for some seconds, a procedure call with many transactions in it for each writer. */
export async function writeFor(run: TideRun, load: SqlLoad, seconds: number): Promise<Written> {
  const { scene } = run
  const clients: pg.Client[] = []
  const databaseMs = await familyMs(scene.postgres.pid)
  try {
    for (let writer = 0; writer < WRITERS; writer++) clients.push(await scene.postgres.connect(scene.database))
    const begunMs = performance.now()
    const counts = await Promise.all(
      clients.map((client, writer) => writeLoop(client, load, writer, scene.rows, seconds)),
    )
    const took = (performance.now() - begunMs) / 1_000
    const transactions = counts.reduce((sum, count) => sum + count, 0)
    const databaseCores = ((await familyMs(scene.postgres.pid)) - databaseMs) / 1_000 / took
    return {
      seconds: took,
      transactionsPerSecond: transactions / took,
      rowsPerSecond: (transactions * load.rowsEach) / took,
      databaseCores,
    }
  } finally {
    for (const client of clients) await client.end()
  }
}

/** Resolves with how many transactions were committed. */
async function writeLoop(
  client: pg.Client,
  load: SqlLoad,
  writer: number,
  rows: number,
  seconds: number,
): Promise<number> {
  if (load.asynchronous === true) await client.query('SET synchronous_commit = off')
  await client.query(`SELECT set_config('bench.count', '0', false)`)
  const perSecond = load.rowsPerSecond === undefined ? undefined : load.rowsPerSecond / load.rowsEach / WRITERS
  const pause =
    perSecond === undefined
      ? ''
      : `early := ${1 / perSecond} * i - extract(epoch FROM clock_timestamp() - begun);
         IF early > 0.005 THEN PERFORM pg_sleep(early); END IF;`
  await client.query(`
    DO $$ DECLARE i bigint := 0; begun timestamptz := clock_timestamp(); early float8;
    BEGIN
      WHILE clock_timestamp() < begun + interval '${seconds} seconds' LOOP
        ${load.transaction(writer, rows)};
        COMMIT;
        i := i + 1;
        ${pause}
      END LOOP;
      PERFORM set_config('bench.count', i::text, false);
    END $$`)
  const { rows: counted } = await client.query<{ count: string }>(`SELECT current_setting('bench.count') AS count`)
  return Number(counted[0]!.count)
}
