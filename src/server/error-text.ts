// The text of the error reply for whatever a handler threw. A broken invariant is thrown on: it ends the thread, which the
// supervisor replaces, because memory may be damaged. Not for: counting errors (dispatch.ts).
import { AssertionError } from '../base/assert.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { CommandError } from './commands/command.ts'

/** Without its '-'. `log` gets what should never happen. */
export function errorTextOf(thrown: unknown, command: string, log: (line: string) => void): string {
  if (thrown instanceof AssertionError) throw thrown
  if (thrown instanceof CommandError) return thrown.message
  if (thrown instanceof TidemarkError) return `${thrown.code} ${thrown.message}`
  const trace = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  log(`a bug: ${command} failed unexpectedly: ${trace}`)
  return `ERR internal error: ${messageOf(thrown)}`
}
