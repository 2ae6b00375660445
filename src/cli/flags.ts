// The flags of `serve`, out of the table of all settings. What their values may be is checked with everything else
// (config/resolve.ts); here it is only whether there are such flags.
import { parseArgs } from 'node:util'
import { suggestion } from '../config/nearest.ts'
import { repeatable, schema } from '../config/schema.ts'

export interface ParsedFlags {
  /** By name, without the dashes; of one given twice the last, or all with commas between them where that means something. */
  readonly flags: ReadonlyMap<string, string>
  readonly help: boolean
  /** What is wrong with the command line, one line each. */
  readonly mistakes: readonly string[]
}

export function parseServeFlags(args: readonly string[]): ParsedFlags {
  const known = schema.flatMap(setting => setting.flag ?? [])
  const several = schema.filter(({ type }) => repeatable.includes(type.kind)).map(({ flag }) => flag)
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const flag of known) options[flag] = { type: 'string' }
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const flags = new Map<string, string>()
  const mistakes: string[] = []
  let help = false
  for (const token of tokens) {
    if (token.kind === 'positional') {
      mistakes.push(`${JSON.stringify(token.value)} is no flag: \`serve\` takes flags only, such as --port 6379`)
    } else if (token.kind === 'option') {
      if (token.name === 'help' || token.name === 'h') help = true
      else if (!known.includes(token.name))
        mistakes.push(`there is no flag ${token.rawName}${meant(token.name, known)}`)
      else if (token.value === undefined || (token.inlineValue === false && token.value.startsWith('--'))) {
        mistakes.push(`${token.rawName} needs a value: ${token.rawName}=...`)
      } else if (several.includes(token.name) && flags.has(token.name)) {
        flags.set(token.name, `${flags.get(token.name)},${token.value}`)
      } else flags.set(token.name, token.value)
    }
  }
  return { flags, help, mistakes }
}

function meant(name: string, known: readonly string[]): string {
  return suggestion(name, [...known, 'help']).replace('mean ', 'mean --')
}
