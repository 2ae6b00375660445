// Writes the reference pages out of the tables that the code runs by: `npm run docs`; with --check it writes nothing, and
// fails when a page is not what it would write. A new page is a function here and a row in `pages`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorTable } from '../src/base/errors.ts'
import { limits } from '../src/base/limits.ts'
import { allowedText, schema } from '../src/config/schema.ts'
import { commandNames, commandTable } from '../src/server/commands/table.ts'
import { unsupportedGroups } from '../src/server/commands/unsupported.ts'
import { metricTable } from '../src/server/metrics.ts'
import type { Setting } from '../src/config/schema.ts'

const folder = join(import.meta.dirname, 'reference')

/** Each page's file, the table that it is made from, and its text. */
const pages: readonly (readonly [name: string, table: string, text: () => string])[] = [
  ['settings.md', 'src/config/schema.ts', settingsPage],
  ['errors.md', 'src/base/errors.ts', errorsPage],
  ['metrics.md', 'src/server/metrics.ts', metricsPage],
  ['commands.md', 'src/server/commands/table.ts', commandsPage],
]

function settingsPage(): string {
  const groups: readonly (readonly [title: string, text: string, belongs: (setting: Setting) => boolean])[] = [
    ['The server', '', setting => !setting.path.includes('*')],
    [
      'A database',
      'Under `databases`, by a name of its own, as `sqlite({ ... })` of `tidemark/sqlite` or `postgres({ ... })` of ' +
        '`tidemark/postgres`.',
      setting => setting.path.startsWith('databases.'),
    ],
    [
      'A keyspace',
      "Under `keyspaces`, by the prefix of its keys: `cities` holds `cities:2643743`. A keyspace's or database's name is " +
        '1 to 64 letters of A to Z and a to z, digits, `_`, `.` and `-`.',
      setting => setting.path.startsWith('keyspaces.'),
    ],
  ]
  const sections = groups.map(([title, text, belongs]) =>
    [`## ${title}`, ...(text === '' ? [] : [text]), ...schema.filter(belongs).map(settingEntry)].join('\n\n'),
  )
  return `# Settings

A setting comes from its flag, else from its environment variable, else from the configuration file, else it has its default.
Every mistake is reported at once when the server starts, with its place, what was got and what is allowed. Sizes count in
1024s: \`64kb\`, \`256mb\`, \`1gb\`, or plain bytes. Durations have a unit: \`500ms\`, \`10s\`, \`5m\`, \`1h\`.

\`\`\`ts
import { defineConfig } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'

export default defineConfig({
  memory: '256mb',
  databases: { shop: sqlite({ file: 'shop.db' }) },
  keyspaces: { users: { database: 'shop', table: 'users', maxStaleness: '500ms', whenStale: 'source' } },
})
\`\`\`

${sections.join('\n\n')}
`
}

function settingEntry(setting: Setting): string {
  const facts = [`- Allowed: ${allowedText(setting.type)}`]
  if (setting.of !== undefined) facts.unshift(`- Of: \`${setting.of}({ ... })\``)
  if (setting.required === true) facts.push('- Required')
  else facts.push(`- Default: ${setting.default === undefined ? setting.defaultText : `\`${setting.default}\``}`)
  if (setting.flag !== undefined) facts.push(`- Flag: \`--${setting.flag}\``)
  if (setting.environment !== undefined) facts.push(`- Environment: \`${setting.environment}\``)
  return `### \`${setting.path || `--${setting.flag}`}\`\n\n${setting.help}\n\n${facts.join('\n')}`
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([code, meaning]) => `| \`${code}\` | ${cell(meaning)} |`)
  return `# Errors

The code is the first word of an error reply over the Redis protocol, \`code\` of a \`TidemarkError\`, and what the command line
prints before the message. Codes are stable; messages are for people and say what was got, what is allowed, and which setting
changes it. Errors that Redis has too (\`ERR\`, \`WRONGTYPE\`, \`NOAUTH\`, \`OOM\`, ...) have Redis' own texts and are not listed.

| code | meaning |
| --- | --- |
${rows.join('\n')}
`
}

function metricsPage(): string {
  const rows = Object.entries(metricTable(commandNames)).map(([name, metric]) => {
    const label = metric.label === undefined ? '' : `\`${metric.label.name}\``
    return `| \`${name}\` | ${metric.type} | ${label} | ${cell(metric.help)} |`
  })
  return `# Metrics

Served by \`/metrics\` of the HTTP port, in Prometheus' text format. Values of a label that never counted are left out.

| name | type | label | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}
`
}

const groupTitles = {
  connection: 'Connection',
  server: 'Server',
  generic: 'Any key',
  string: 'Strings',
  bitmap: 'Bits of strings',
  hash: 'Hashes',
  transactions: 'Transactions',
  pubsub: 'Messages',
  tidemark: 'Rows and their freshness',
} as const

function commandsPage(): string {
  const sections = Object.entries(groupTitles).map(([group, title]) => {
    const rows = commandTable.commands
      .filter(command => command.group === group)
      .map(({ name, syntax, summary, complexity, subcommands = [] }) => {
        const more =
          subcommands.length === 0 ? '' : ` Sub-commands: ${subcommands.map(each => each.toUpperCase()).join(', ')}.`
        return `| \`${name.toUpperCase()}\` | ${cell(code(syntax))} | ${cell(summary)}${more} | ${cell(complexity)} |`
      })
    return `## ${title}\n\n| command | arguments | what it does | complexity |\n| --- | --- | --- | --- |\n${rows.join('\n')}`
  })
  return `# Commands

Over the Redis protocol, RESP2 and RESP3. An unknown command is answered as Redis does;
what differs from Redis is in [a page of its own](../guides/differences-from-redis.md). Keys of a keyspace (\`cities:2643743\`) are
rows of a database: GET and SET see a row as JSON, the hash commands see its columns, and what changes it changes the database
first. Any other key is a plain cache entry. A value takes at most ${limits.valueBytesMax / 1024 ** 2} MiB, and at most one part in ${limits.recordShareOfMemory} of the memory.

${sections.join('\n\n')}

## Commands that there are not

Of Redis 7.0, answered with \`COMMAND_UNSUPPORTED\` and what to do instead. COMMAND does not list them.

| commands | of what | instead |
| --- | --- | --- |
${unsupportedGroups.map(({ names, of, instead }) => `| ${cell(names)} | ${cell(of)} | ${cell(instead)} |`).join('\n')}
`
}

/** In the cell of a table a bar would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``
}

function current(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const check = process.argv.includes('--check')
mkdirSync(folder, { recursive: true })
for (const [name, table, text] of pages) {
  const file = join(folder, name)
  const wanted = `<!-- Made by \`npm run docs\` from ${table}: change it there. -->\n\n${text()}`
  if (current(file) === wanted) continue
  if (check) {
    console.error(`docs/reference/${name} is not what ${table} says: npm run docs`)
    process.exitCode = 1
  } else writeFileSync(file, wanted)
}
