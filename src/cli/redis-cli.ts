// `tidemark cli`: a small client in the spirit of redis-cli, for those who have none. One command, or a prompt.
import { messageOf } from '../base/errors.ts'
import { ReplyError } from '../wire/reply.ts'
import { parseCliFlags } from './cli-flags.ts'
import { CliSession } from './cli-session.ts'
import type { CliStreams } from './cli-session.ts'
import { runPrompt } from './prompt.ts'
import { exitCodes } from './terminal.ts'

export const cliHelp: string = `Sends a command to a server that speaks the Redis protocol and prints the reply.

Usage: tidemark cli [flags] [command [argument ...]]

Without a command: a prompt, or, when something is piped in, each of its lines as a command.

Examples:
  tidemark cli GET cities:2643743
  tidemark cli HSET cities:2643743 population 9000000
  tidemark cli --json HGETALL cities:2643743
  tidemark cli -p 7000
  echo 'SET greeting "hello world"' | tidemark cli

Flags:
  -h <host>       the server's host; default 127.0.0.1
  -p <port>       its port; default 6379
  -a <password>   the password; better in the environment variable REDISCLI_AUTH, which other users cannot read
  -n <number>     the database; default 0
  -3              speak RESP3: maps, sets, doubles and booleans arrive as such
  --json          print replies as JSON (speaks RESP3)
  --raw           print values as they are; the default when the output is no terminal
  --no-raw        print values with their types; the default on a terminal
  --help          this text

The exit code is 1 after an error reply, or without a connection.
`

/** Resolves with the exit code. */
export async function runCli(args: readonly string[], streams: CliStreams): Promise<number> {
  const flags = parseCliFlags(args)
  if (typeof flags === 'string') {
    streams.stderr.write(`tidemark: ${flags}\n`)
    return exitCodes.usage
  }
  if (flags.help) {
    streams.stdout.write(cliHelp)
    return exitCodes.done
  }
  // A reader that has seen enough (`| head`) is no failure.
  streams.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') streams.stderr.write(`tidemark: the output cannot be written: ${error.message}\n`)
  })
  const session = new CliSession(flags, streams)
  try {
    await session.open()
    if (flags.command.length === 0) {
      const failures = await runPrompt(session, streams)
      return failures === 0 || streams.stdin.isTTY === true ? exitCodes.done : exitCodes.failure
    }
    const reply = await session.send(flags.command)
    session.show(reply, flags.command)
    return reply instanceof ReplyError ? exitCodes.failure : exitCodes.done
  } catch (thrown) {
    streams.stderr.write(`tidemark: ${messageOf(thrown)}\n`)
    return exitCodes.failure
  } finally {
    session.close()
  }
}
