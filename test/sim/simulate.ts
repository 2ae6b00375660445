// Runs the simulator in a process of its own, for tests: the test runner follows every promise, of which there are too many.
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'

const main = resolve(import.meta.dirname, 'main.ts')
/** A simulation that never ends is not left behind. */
const TIMEOUT_MS = 240_000

/** What `npm run test:sim -- args` prints, and the code that it ends with. */
export function simulate(args: readonly string[]): Promise<{ readonly output: string; readonly code: number }> {
  return new Promise(done => {
    const argv = ['--conditions=tidemark-source', main, ...args]
    const child = execFile(
      process.execPath,
      argv,
      { maxBuffer: 2 ** 28, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (_error, stdout, stderr) => {
        done({ output: stdout + stderr, code: child.exitCode ?? -1 })
      },
    )
  })
}
