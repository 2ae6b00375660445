// Runs the simulator in a process of its own, for tests: the test runner follows every promise, of which there are too many.
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'

const main = resolve(import.meta.dirname, 'main.ts')
/** A simulation that never ends is not left behind. */
const TIMEOUT_MS = 240_000

export interface Simulated {
  readonly output: string
  /** That the process ended with. */
  readonly code: number
}

/** What `npm run test:sim -- args` prints, by a node that is given `flags`. */
export function simulate(args: readonly string[], flags: readonly string[] = []): Promise<Simulated> {
  return new Promise(done => {
    const argv = ['--conditions=tidemark-source', ...flags, main, ...args]
    // Schedules that are played there are no part of the test that plays them.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
    const options = { env, maxBuffer: 2 ** 28, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const
    const child = execFile(process.execPath, argv, options, (_error, stdout, stderr) => {
      done({ output: stdout + stderr, code: child.exitCode ?? -1 })
    })
  })
}
