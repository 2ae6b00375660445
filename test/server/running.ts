// Whole servers for tests of several clients, with one and with two threads, and the same scenario against Redis.
import assert from 'node:assert/strict'
import { type TestContext, after, describe, test } from 'node:test'
import { startAdmin } from '../../src/admin/http.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { type RunningServer, startServer } from '../../src/server/supervisor.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { testSettings } from './served-scene.ts'

export async function startTidemark(
  t: Pick<TestContext, 'after'>,
  settings: Partial<ServerSettings> = {},
): Promise<RunningServer> {
  const server = await startServer(testSettings(settings), { clock: systemClock(), log: () => {}, startAdmin })
  t.after(() => server.stop())
  return server
}

/** Connections to one thread each: `thread` counts from 0, as far as the server has threads. */
export interface Scenario {
  /** A connection, with HELLO 3 said already where the scenario runs in RESP3. */
  open(): Promise<RawConnection>
  /** Writes down what came. */
  note(...messages: readonly string[]): void
}

/** What a client is told of itself differs between servers: its id, and counts of everything. */
export type Mask = (message: string) => string

async function transcript(
  port: number,
  resp: 2 | 3,
  play: (scenario: Scenario) => Promise<void>,
  mask: Mask,
): Promise<string[]> {
  const opened: RawConnection[] = []
  const noted: string[] = []
  const open = async (): Promise<RawConnection> => {
    const connection = await RawConnection.open(port)
    opened.push(connection)
    if (resp === 3) await connection.line('HELLO 3')
    return connection
  }
  const cleaner = await RawConnection.open(port)
  await cleaner.line('FLUSHALL')
  cleaner.close()
  try {
    await play({ open, note: (...messages) => void noted.push(...messages.map(mask)) })
  } finally {
    for (const connection of opened) connection.close()
  }
  return noted
}

/** Declares tests that play a scenario against Redis and against Tidemark with one and two threads, in RESP2 and RESP3. */
export function sameAsRedis(
  title: string,
  scenarios: Record<string, (scenario: Scenario) => Promise<void>>,
  mask: Mask = message => message,
): void {
  describe(title, { concurrency: 1 }, () => {
    let redis: Promise<RedisServer | undefined> | undefined
    const servers = new Map<number, Promise<RunningServer>>()
    after(async () => {
      await (await redis)?.stop()
      for (const server of servers.values()) await (await server).stop()
    })
    for (const [name, play] of Object.entries(scenarios)) {
      for (const threads of [1, 2]) {
        for (const resp of [2, 3] as const) {
          test(`${name}, ${threads} thread${threads > 1 ? 's' : ''}, RESP${resp}`, async t => {
            redis ??= startRedis()
            const real = await redis
            if (real === undefined) return t.skip('redis-server is not installed')
            if (!servers.has(threads)) servers.set(threads, startTidemark({ after: () => {} }, { threads }))
            const ours = await transcript((await servers.get(threads)!).port, resp, play, mask)
            const theirs = await transcript(real.port, resp, play, mask)
            assert.deepEqual(ours, theirs)
          })
        }
      }
    }
  })
}
