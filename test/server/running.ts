// Whole servers for tests of several clients, with one and with two threads.
import type { TestContext } from 'node:test'
import { startAdmin } from '../../src/admin/http.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { type RunningServer, startServer } from '../../src/server/supervisor.ts'
import { testSettings } from './served-scene.ts'

export async function startTidemark(
  t: Pick<TestContext, 'after'>,
  settings: Partial<ServerSettings> = {},
): Promise<RunningServer> {
  const server = await startServer(testSettings(settings), { clock: systemClock(), log: () => {}, startAdmin })
  t.after(() => server.stop())
  return server
}
