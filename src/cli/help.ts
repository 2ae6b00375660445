// What `--help` says. The list of flags comes from the table of all settings.
import { schema } from '../config/schema.ts'

export const mainHelp: string = `Tidemark: a cache in front of your database that knows how fresh every answer is.
It speaks the Redis protocol, reads from memory, and writes through to the database.

Usage: tidemark <verb> [flags]

  serve   run a server
  cli     send a command to a server, or open a prompt
  help    explain a verb: tidemark help serve

Examples:
  tidemark serve                                     a plain cache on 127.0.0.1:6379
  tidemark serve --memory 1gb --port 7000            with more memory, on another port
  tidemark serve --config tidemark.config.ts         in front of the databases that the file names
  tidemark serve --source postgres://localhost/shop --keyspace users=public.users
                                                     in front of a table of Postgres, without a file
  tidemark cli GET cities:2643743                    one command, one answer
  tidemark cli                                       a prompt

  --help, -h      this text (after a verb: the verb's)
  --version, -v   the version of Tidemark and of Node
`

const serveIntroduction = `Runs a server: the Redis protocol on one port, HTTP (/health, /ready, /metrics) on another.

Usage: tidemark serve [flags]

Without a configuration file it is a plain cache. With keyspaces, of a file or of --source and --keyspace, each is a table of a
database: reads of its keys come from memory (loaded once), writes go to the database first. Servers that share a --tier
share what they have loaded.

Examples:
  tidemark serve
  tidemark serve --config tidemark.config.ts --data ./data
  tidemark serve --source postgres://localhost/shop --keyspace users=public.users --tier valkey://localhost:7000
  TIDEMARK_REQUIREPASS=secret tidemark serve --host 0.0.0.0

A configuration file:
  import { defineConfig } from 'tidemark'
  import { sqlite } from 'tidemark/sqlite'

  export default defineConfig({
    memory: '1gb',
    databases: { shop: sqlite({ file: 'shop.db' }) },
    keyspaces: { users: { database: 'shop', table: 'users', maxStaleness: '500ms' } },
  })

Flags (each is also an environment variable; a flag goes before the variable, the variable before the file):
`

function wrapped(text: string, indent: number, width: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width - indent) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map(each => ' '.repeat(indent) + each).join('\n')
}

export function serveHelp(): string {
  const flags: string[] = []
  for (const setting of schema) {
    if (setting.flag === undefined) continue
    const byDefault = setting.default ?? setting.defaultText
    flags.push(`  --${setting.flag} <${setting.type.kind}>   ${setting.environment ?? ''}`)
    flags.push(wrapped(`${setting.help} Default: ${byDefault}.`, 6, 100))
  }
  const ending = '\nCtrl-C finishes what is under way and closes; a second one exits at once.\n'
  return `${serveIntroduction}${flags.join('\n')}\n${ending}`
}
