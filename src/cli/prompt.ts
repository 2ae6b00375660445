// The client without a command: reads lines, from a person at a prompt or from a pipe, and sends each.
import { createInterface } from 'node:readline/promises'
import type { Interface } from 'node:readline/promises'
import { messageOf } from '../base/errors.ts'
import { ReplyError } from '../wire/reply.ts'
import type { CliSession, CliStreams } from './cli-session.ts'
import { commandHelp, commandNames, completions } from './command-names.ts'
import { splitLine } from './split-line.ts'

const promptHelp = `Type a command and press Enter: GET cities:2643743
  "double quotes" hold blanks and the escapes \\n \\r \\t \\" \\xHH; 'single quotes' hold anything else
  Tab               complete a command's name
  Up, Down          earlier commands
  help <command>    what a command does
  quit, Ctrl-D      leave
`
const HISTORY_MAX = 1_000

/** Sends line after line until the input ends or says `quit`. Resolves with the number of those that failed. */
export async function runPrompt(session: CliSession, streams: CliStreams): Promise<number> {
  const interactive = streams.stdin.isTTY === true && streams.stdout.isTTY === true
  const lines = interactive ? openPrompt(session, streams) : createInterface({ input: streams.stdin, terminal: false })
  const ask = (): void => {
    if (!interactive) return
    lines.setPrompt(session.prompt)
    lines.prompt()
  }
  let failures = 0
  ask()
  for await (const line of lines) {
    const outcome = await answer(session, streams, line)
    if (outcome === 'quit') break
    if (outcome === 'failed') failures++
    ask()
  }
  lines.close()
  return failures
}

function openPrompt(session: CliSession, streams: CliStreams): Interface {
  let names: string[] = []
  const lines = createInterface({
    input: streams.stdin,
    output: streams.stdout,
    terminal: true,
    historySize: HISTORY_MAX,
    removeHistoryDuplicates: true,
    // Asked of the server at the first Tab; a server that is away or wants a password first completes nothing.
    completer: async (typed: string): Promise<[string[], string]> => {
      try {
        if (names.length === 0) names = await commandNames(args => session.send(args))
      } catch {}
      return [completions(names, typed), typed]
    },
  })
  lines.on('SIGINT', () => lines.close())
  lines.on('close', () => streams.stdout.write('\n'))
  // A password is not offered again.
  lines.on('history', (history: string[]) => {
    if (/^\s*(auth|hello)\s/i.test(history[0] ?? '')) history.shift()
  })
  return lines
}

async function answer(session: CliSession, streams: CliStreams, line: string): Promise<'done' | 'failed' | 'quit'> {
  const args = splitLine(line)
  if (args === undefined) {
    streams.stdout.write('Invalid argument(s): a quote is not closed, or not followed by a blank\n')
    return 'failed'
  }
  const [name, ...rest] = args.map(String)
  if (name === undefined) return 'done'
  const word = name.toLowerCase()
  if (word === 'quit' || word === 'exit') return 'quit'
  try {
    if (word === 'help' || word === '?') {
      streams.stdout.write(rest.length === 0 ? promptHelp : await commandHelp(it => session.send(it), rest.join(' ')))
      return 'done'
    }
    const reply = await session.send(args)
    session.show(reply, args)
    return reply instanceof ReplyError ? 'failed' : 'done'
  } catch (thrown) {
    streams.stderr.write(`tidemark: ${messageOf(thrown)}\n`)
    return 'failed'
  }
}
