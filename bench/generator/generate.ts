// Runs the load generator (main.ts, a process of its own) on a plan. With `pin` on all cores but the first.
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Outcome, Plan } from './plan.ts'

const run = promisify(execFile)
const program = resolve(import.meta.dirname, 'main.ts')

export async function generate(plan: Plan, pin: boolean): Promise<Outcome> {
  // Room for young objects, so that the generator's own collections are few.
  const node = [process.execPath, '--max-semi-space-size=64', program, JSON.stringify(plan)] as const
  const [first, ...rest] = pin ? (['taskset', '-c', '1-', ...node] as const) : node
  const { stdout } = await run(first, rest)
  return JSON.parse(stdout) as Outcome
}
