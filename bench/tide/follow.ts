// How much written by plain SQL the tide keeps up with: transactions of many rows, and of one row each, as fast as the database
// commits them. They are made inside the database, so that no client needs the processor; how far the marks are behind is
// watched all the while. The same writes without a tide say what the database can do here.
import type pg from 'pg'
import { quantile } from './figures.ts'
import { LagWatch } from './lag.ts'
import { TideNode } from './node.ts'
import { familyMs, processorMs } from './processor-time.ts'
import type { TideRun } from './run.ts'
import { TABLE } from './scene.ts'

const WRITERS = 2
const BATCH = 100
/** Rows in a second: some more than the bar, so that what pacing loses does not matter. */
const PACE = 10_500
/** The tide has caught up when it is no further behind. */
const CAUGHT_UP_MS = 300

interface Load {
  readonly series: string
  /** SQL of one transaction; `i` is its number. */
  readonly transaction: (writer: number, rows: number) => string
  readonly rowsEach: number
  /** By all writers together; undefined: as many as the database commits. */
  readonly rowsPerSecond?: number
}

function manyRows(writer: number, rows: number): string {
  // Rows of one writer are not another's: nobody waits for a lock.
  const first = `1 + ((i * ${BATCH * WRITERS} + ${writer * BATCH}) % ${rows - BATCH * WRITERS})`
  return `UPDATE ${TABLE} SET amount = amount + 1 WHERE id BETWEEN ${first} AND ${first} + ${BATCH - 1}`
}

function oneRow(writer: number, rows: number): string {
  const half = Math.floor(rows / WRITERS)
  return `UPDATE ${TABLE} SET amount = amount + 1 WHERE id = 1 + ${writer * half} + ((i * 7919) % ${half})`
}

const loads: readonly Load[] = [
  { series: 'batches', transaction: manyRows, rowsEach: BATCH, rowsPerSecond: PACE },
  { series: 'single rows', transaction: oneRow, rowsEach: 1, rowsPerSecond: PACE },
  { series: 'batches, unpaced', transaction: manyRows, rowsEach: BATCH },
  { series: 'single rows, unpaced', transaction: oneRow, rowsEach: 1 },
]

export async function measureFollow(run: TideRun): Promise<void> {
  const { scene } = run
  const node = await TideNode.open(scene.shared)
  try {
    for (let round = 0; round < run.rounds; round++) {
      for (const load of loads) {
        if (load.rowsPerSecond === undefined) {
          await scene.stopServer()
          const alone = await writeFor(run, load)
          run.keep({ stage: 'follow', series: `${load.series}, no tide`, round, figures: alone })
        }
        await scene.serve()
        const figures = await follow(run, load, node)
        run.keep({ stage: 'follow', series: load.series, round, figures })
        run.progress('follow')
      }
    }
  } finally {
    await node.close()
  }
}

async function follow(run: TideRun, load: Load, node: TideNode): Promise<Readonly<Record<string, number>>> {
  const { scene } = run
  const client = await scene.postgres.connect(scene.database)
  const watch = new LagWatch(client, node.tier)
  try {
    await caughtUp(watch)
    const from = watch.points.length
    const redisPids = scene.cluster.nodes.map(({ pid }) => pid)
    const before = await Promise.all([scene.serverPid, ...redisPids].map(processorMs))
    const written = await writeFor(run, load)
    const after = await Promise.all([scene.serverPid, ...redisPids].map(processorMs))
    const endedMs = performance.now()
    await caughtUp(watch)
    const caughtUpMs = performance.now() - endedMs
    const lags = watch.points.slice(from).map(({ lagMs }) => lagMs)
    const [tideMs, ...redisMs] = after.map((ms, i) => ms - before[i]!)
    return {
      ...written,
      lagP50Ms: quantile(lags, 0.5),
      lagP99Ms: quantile(lags, 0.99),
      lagMaxMs: quantile(lags, 1),
      caughtUpMs,
      // What the tide carried until it had all of it.
      followedPerSecond: (written.rowsPerSecond * written.seconds) / (written.seconds + caughtUpMs / 1_000),
      tideCores: tideMs! / 1_000 / written.seconds,
      tierCores: redisMs.reduce((sum, ms) => sum + ms, 0) / 1_000 / written.seconds,
    }
  } finally {
    await watch.stop()
    await client.end()
  }
}

async function caughtUp(watch: LagWatch): Promise<void> {
  const from = watch.points.length
  while (!watch.points.slice(from).some(({ lagMs }) => lagMs < CAUGHT_UP_MS)) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

interface Written extends Readonly<Record<string, number>> {
  readonly seconds: number
  readonly rowsPerSecond: number
}

/** Writes for some seconds, a procedure call with many transactions in it for each writer. */
async function writeFor(run: TideRun, load: Load): Promise<Written> {
  const { scene } = run
  const seconds = run.smoke ? 1 : 6
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
  load: Load,
  writer: number,
  rows: number,
  seconds: number,
): Promise<number> {
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
