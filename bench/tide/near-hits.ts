// GET of a row that the server holds near, proved by the tide's marks, against GET of what needs no such proof: a row of a SQLite
// keyspace in memory, and a plain key. Two servers, loaded in turns, with as many threads and clients.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RunningContender, tidemark } from '../contender.ts'
import { applyLoad, type Workload } from '../load.ts'
import { RespClient } from '../../test/support/resp-client.ts'
import { processorMs } from './processor-time.ts'
import type { TideRun } from './run.ts'
import { ROWS, ROWS_TABLE } from './scene.ts'

const PIPELINE = 16
const CLIENTS = 50
const REQUESTS = 800_000
const VALUE_BYTES = 64
const FILL_BATCH = 500

interface Hits {
  readonly series: string
  readonly port: number
  readonly pid: number
  readonly prefix: string
}

export async function measureNearHits(run: TideRun): Promise<void> {
  const { scene } = run
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-near-'))
  await scene.serve()
  const keys = run.smoke ? 100 : ROWS
  const other = await RunningContender.start(tidemark, folder, false, { threads: 1, memoryMb: 1024, rows: keys })
  try {
    const hits: Hits[] = [
      { series: 'proved', port: scene.port, pid: scene.serverPid, prefix: `${ROWS_TABLE}:` },
      { series: 'sqlite', port: other.port, pid: other.pid, prefix: 'rows:' },
      { series: 'plain', port: other.port, pid: other.pid, prefix: 'plain:' },
    ]
    for (const each of hits) await fill(each, keys)
    // The first round is for the compiler.
    for (let round = -1; round < run.rounds; round++) await takeTurns(run, hits, keys, round)
  } finally {
    await other.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function takeTurns(run: TideRun, hits: readonly Hits[], keys: number, round: number): Promise<void> {
  for (const each of round % 2 === 0 ? hits : hits.toReversed()) {
    const figures = await load(run, each, keys)
    if (round >= 0) run.keep({ stage: 'near', series: each.series, round, figures })
  }
  if (round >= 0) run.progress('near')
}

/** A row is near once it was read; a plain key has as many bytes. */
async function fill({ port, prefix, series }: Hits, keys: number): Promise<void> {
  const client = await RespClient.connect(port)
  const value = 'x'.repeat(VALUE_BYTES)
  try {
    for (let pass = 0; pass < 3; pass++) {
      for (let from = 0; from < keys; from += FILL_BATCH) {
        const names = Array.from({ length: Math.min(FILL_BATCH, keys - from) }, (_, i) => nameOf(prefix, from + i))
        const asked = names.map(name =>
          series === 'plain' ? client.command('SET', name, value) : client.command('GET', name),
        )
        const wrong = (await Promise.all(asked)).find(reply => reply === null || reply instanceof Error)
        if (wrong !== undefined) throw new Error(`${series}: a key could not be filled: ${String(wrong)}`)
      }
      // Fills arrive, and near caches admit.
      await new Promise(resolve => setTimeout(resolve, 200))
    }
  } finally {
    client.close()
  }
}

function nameOf(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(12, '0')}`
}

async function load(
  run: TideRun,
  { port, pid, prefix }: Hits,
  keys: number,
): Promise<Readonly<Record<string, number>>> {
  const workload: Workload = {
    command: 'get',
    pipeline: PIPELINE,
    clients: run.smoke ? 2 : CLIENTS,
    valueBytes: VALUE_BYTES,
    keys,
    prefix,
    seed: 1,
    requests: run.smoke ? 2_000 : REQUESTS,
  }
  const beforeMs = await processorMs(pid)
  const { requestsPerSecond } = await applyLoad(tidemark, port, workload, false)
  const cpuUs = (((await processorMs(pid)) - beforeMs) * 1_000) / workload.requests
  return { requests: workload.requests, requestsPerSecond, cpuUs }
}
