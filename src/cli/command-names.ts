// What the prompt knows of a server's commands: their names, for completion, and a line about each, for `help`. Asked of the
// server itself (COMMAND, COMMAND DOCS), so it is true of whatever server there is.
import { ReplyError } from '../wire/reply.ts'
import type { Reply } from '../wire/reply.ts'

export type Send = (args: readonly string[]) => Promise<Reply>

const SUBCOMMANDS_FIELD = 9

function textOf(reply: Reply | undefined): string {
  if (typeof reply === 'string') return reply
  return Buffer.isBuffer(reply) ? reply.toString() : ''
}

function listOf(reply: Reply | undefined): Reply[] {
  if (reply instanceof Set) return [...reply]
  return Array.isArray(reply) ? reply : []
}

/** A map by the text of its keys, whether it came as a map (RESP3) or as an array (RESP2). */
function fieldsOf(reply: Reply | undefined): Map<string, Reply> {
  if (reply instanceof Map) return new Map([...reply].map(([key, value]) => [textOf(key), value]))
  const items = listOf(reply)
  const fields = new Map<string, Reply>()
  for (let i = 0; i + 1 < items.length; i += 2) fields.set(textOf(items[i]), items[i + 1]!)
  return fields
}

/** Every command in upper case, those with subcommands once for each as well: `CONFIG`, `CONFIG GET`. */
export async function commandNames(send: Send): Promise<string[]> {
  const names: string[] = []
  const collect = (entry: Reply): void => {
    const fields = listOf(entry)
    const name = textOf(fields[0]).replace('|', ' ').toUpperCase()
    if (name !== '') names.push(name)
    for (const subcommand of listOf(fields[SUBCOMMANDS_FIELD])) collect(subcommand)
  }
  for (const entry of listOf(await send(['COMMAND']))) collect(entry)
  return names.sort()
}

/** The names that go on from what was typed, in the case that it was typed in. */
export function completions(names: readonly string[], typed: string): string[] {
  const upper = typed.toUpperCase()
  const hits = names.filter(name => name.startsWith(upper))
  return /[a-z]/.test(typed) ? hits.map(name => name.toLowerCase()) : hits
}

/** A few lines about a command (`config get` is one), or one that says that the server does not describe it. */
export async function commandHelp(send: Send, command: string): Promise<string> {
  const reply = await send(['COMMAND', 'DOCS', command.replace(' ', '|')])
  if (reply instanceof ReplyError) return `(error) ${reply.message}\n`
  const docs = fieldsOf([...fieldsOf(reply).values()][0])
  const summary = textOf(docs.get('summary'))
  if (summary === '') return `The server does not describe a command ${command.toUpperCase()}.\n`
  const lines = [`  ${command.toUpperCase()}`, `  summary: ${summary}`]
  for (const field of ['since', 'group', 'complexity']) {
    if (docs.has(field)) lines.push(`  ${field}: ${textOf(docs.get(field))}`)
  }
  return `${lines.join('\n')}\n`
}
