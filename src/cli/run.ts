// From the command line to a verb. Resolves with the process's exit code.
import { readFileSync } from 'node:fs'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { suggestion } from '../config/nearest.ts'
import { mainHelp, serveHelp } from './help.ts'
import { exitCodes } from './terminal.ts'
import type { Terminal } from './terminal.ts'

const verbs = ['serve', 'cli', 'help']

export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  // Whoever reads may go first (`tidemark help | head -1`): no reason to die, least of all for a server.
  for (const stream of [terminal.stdout, terminal.stderr]) stream.on('error', () => {})
  const code = await codeOf(args, terminal)
  // Timers and sockets that the code of a configuration left behind would keep the process from ending.
  if (args[0] === 'serve') terminal.stdout.write('', () => terminal.exit(code))
  return code
}

async function codeOf(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(args, terminal)
  } catch (thrown) {
    if (!(thrown instanceof TidemarkError)) throw thrown
    terminal.stderr.write(`tidemark: ${thrown.code} ${messageOf(thrown)}\n`)
    return exitCodes.failure
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<number> {
  const [verb, ...rest] = args
  switch (verb) {
    // A verb is imported when it is asked for: the prompt should not wait for the server's code.
    case 'serve':
      return (await import('./serve.ts')).runServe(rest, terminal)
    case 'cli':
      return (await import('./redis-cli.ts')).runCli(rest, terminal)
    case '--version':
    case '-v':
      terminal.stdout.write(`tidemark ${version()} (Node ${process.versions.node})\n`)
      return exitCodes.done
    case 'help':
    case '--help':
    case '-h':
      return help(rest[0], terminal)
    case undefined:
      terminal.stderr.write(mainHelp)
      return exitCodes.usage
    default: {
      const what = verb.startsWith('-') ? 'flag' : 'verb'
      const known = verb.startsWith('-') ? ['--help', '--version'] : verbs
      terminal.stderr.write(`tidemark: there is no ${what} ${verb}${suggestion(verb, known)}; see tidemark --help\n`)
      return exitCodes.usage
    }
  }
}

async function help(verb: string | undefined, terminal: Terminal): Promise<number> {
  let text: string | undefined
  if (verb === undefined || verb === 'help') text = mainHelp
  else if (verb === 'serve') text = serveHelp()
  else if (verb === 'cli') text = (await import('./redis-cli.ts')).cliHelp
  if (text === undefined) {
    terminal.stderr.write(`tidemark: there is no verb ${verb}${suggestion(verb ?? '', verbs)}; see tidemark --help\n`)
    return exitCodes.usage
  }
  terminal.stdout.write(text)
  return exitCodes.done
}

function version(): string {
  // Two folders up both from src/cli and from dist/cli.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
