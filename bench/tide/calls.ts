// What a write and a miss through Tidemark cost next to the bare statement with `pg`: one call at a time, contenders in turns.
import pg from 'pg'
import { Distance } from './distance.ts'
import { quantile } from './figures.ts'
import { TideNode } from './node.ts'
import type { TideRun } from './run.ts'
import { TABLE } from './scene.ts'

const upsertSql = `INSERT INTO ${TABLE} (id, name, amount) VALUES ($1, $2, $3)
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = excluded.amount`
const selectSql = `SELECT id, name, amount FROM ${TABLE} WHERE id = $1`
/** So many calls of one contender, then of the next: what drifts on the machine falls on all alike. */
const TURN = 25
const TURNS: Turns = { warmUpTurns: 40, turns: 20 }
/** Of the servers that are "1 ms away": there and back. */
const ONE_WAY_MS = 0.5

interface Contender {
  readonly series: string
  call(id: number): Promise<unknown>
  /** Before a turn, not measured. */
  prepare?(ids: readonly number[]): Promise<void>
}

export async function measureCalls(run: TideRun): Promise<void> {
  const { scene } = run
  await scene.serve()
  const pool = new pg.Pool({ connectionString: scene.url, max: 4 })
  const shared = await TideNode.open(scene.shared)
  const alone = await TideNode.open({ ...scene.shared, tier: 'embedded', slot: 'embedded' })
  try {
    await alone.ready()
    if (run.wants('set')) await measure(run, 'set', sets(pool, shared, alone))
    if (run.wants('miss')) {
      await measure(run, 'miss', misses(pool, shared, alone))
      await measureFar(run)
    }
  } finally {
    await alone.close()
    await shared.close()
    await pool.end()
  }
}

function sets(pool: pg.Pool, shared: TideNode, alone: TideNode): Contender[] {
  let amount = 0
  const name = (id: number): string => `the name of item ${id}`
  return [
    {
      series: 'bare upsert',
      call: id => pool.query({ name: 'upsert', text: upsertSql, values: [id, name(id), ++amount] }),
    },
    { series: 'embedded', call: id => alone.set(id, name(id), ++amount) },
    { series: 'valkey', call: id => shared.set(id, name(id), ++amount) },
    tripTo(shared),
  ]
}

function misses(pool: pg.Pool, shared: TideNode, alone: TideNode): Contender[] {
  return [bareSelect(pool), miss('embedded', alone), miss('valkey', shared), tripTo(shared)]
}

function bareSelect(pool: pg.Pool): Contender {
  return { series: 'bare select', call: id => pool.query({ name: 'select', text: selectSql, values: [id] }) }
}

function tripTo(node: TideNode): Contender {
  return { series: 'trip to valkey', call: async id => node.tier.read([node.key(id)]) }
}

function miss(series: string, node: TideNode): Contender {
  return {
    series,
    prepare: async ids => {
      await node.invalidate(ids)
      // Near caches hear of it.
      await new Promise(resolve => setTimeout(resolve, 20))
    },
    call: async id => {
      const { tier } = await node.get(id)
      if (tier !== 'source') throw new Error(`${series}: what was to be a miss came from ${tier}`)
    },
  }
}

// The same from further away: where the network decides, what counts is how many trips follow one another.
async function measureFar(run: TideRun): Promise<void> {
  const { cluster, url, shared: near } = run.scene
  const ports = [Number(new URL(url).port), ...cluster.nodes.map(({ port }) => port)]
  const distance = await Distance.open({ oneWayMs: ONE_WAY_MS, ports })
  const places = cluster.addresses.map(address => {
    const [host, port] = distance.to(address).split(':')
    return [address, { host: host!, port: Number(port) }] as const
  })
  const tier = { kind: 'valkey', seeds: places.map(([, place]) => place), reach: Object.fromEntries(places) } as const
  const pool = new pg.Pool({ connectionString: distance.to(url), max: 4 })
  const node = await TideNode.open({ ...near, url: distance.to(url), tier })
  try {
    const all: Contender[] = [bareSelect(pool), miss('valkey', node), tripTo(node)]
    const far = all.map(each => ({ ...each, series: `${each.series}, 1 ms away` }))
    await measure(run, 'miss', far, { warmUpTurns: 8, turns: 4 })
  } finally {
    await node.close()
    await pool.end()
    await distance.close()
  }
}

interface Turns {
  readonly warmUpTurns: number
  readonly turns: number
}

async function measure(run: TideRun, stage: string, contenders: readonly Contender[], of = TURNS): Promise<void> {
  const { turns, warmUpTurns } = run.smoke ? { turns: 1, warmUpTurns: 1 } : of
  // Connections are made, statements prepared, code compiled.
  for (let turn = 0; turn < warmUpTurns; turn++) for (const each of contenders) await takeTurn(run, each)
  for (let round = 0; round < run.rounds; round++) {
    const took = new Map(contenders.map(each => [each, [] as number[]]))
    for (let turn = 0; turn < turns; turn++) {
      for (const each of turn % 2 === 0 ? contenders : contenders.toReversed()) {
        took.get(each)!.push(...(await takeTurn(run, each)))
      }
    }
    for (const [{ series }, us] of took) {
      run.keep({
        stage,
        series,
        round,
        figures: { calls: us.length, p50Us: quantile(us, 0.5), p99Us: quantile(us, 0.99) },
      })
    }
    run.progress(stage)
  }
}

async function takeTurn(run: TideRun, { call, prepare }: Contender): Promise<number[]> {
  const ids = new Set<number>()
  while (ids.size < TURN) ids.add(run.random(run.scene.rows) + 1)
  await prepare?.([...ids])
  const took: number[] = []
  for (const id of ids) {
    const begunMs = performance.now()
    await call(id)
    took.push((performance.now() - begunMs) * 1_000)
  }
  return took
}
