// Finds and imports the configuration file. Whatever goes wrong there (it is not there, does not parse, imports what is not
// there, throws) is one line with the file and the place in it. Not for: what the file says (resolve.ts).
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { messageOf, TidemarkError } from '../base/errors.ts'

/** What a folder is searched for, in this order. */
export const configNames: readonly string[] = ['tidemark.config.ts', 'tidemark.config.js', 'tidemark.config.mjs']

export interface LoadedConfig {
  /** Absolute. */
  readonly file: string
  readonly value: unknown
}

/**
 * The configuration file: the one `given` (a file or a folder, relative to `folder`) or else the one in `folder`;
 * undefined when nothing was given and there is none.
 */
export function findConfig(given: string | undefined, folder: string): string | undefined {
  const place = resolve(folder, given ?? '.')
  const found = statSync(place, { throwIfNoEntry: false })
  if (found?.isDirectory() === true) {
    const file = configNames.map(name => join(place, name)).find(name => existsSync(name))
    if (file !== undefined || given === undefined) return file
    throw new TidemarkError('CONFIG_INVALID', `config: ${place} has no ${configNames.join(', ')} in it`)
  }
  if (found === undefined) throw new TidemarkError('CONFIG_INVALID', `config: there is no file ${place}`)
  return place
}

/** Imports the file and gives back what it exports as its default. */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  let exports: { readonly default?: unknown }
  try {
    exports = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  } catch (thrown) {
    const { place, reason } = describe(file, thrown)
    throw new TidemarkError('CONFIG_INVALID', `${place}: ${reason}`, { cause: thrown })
  }
  if (typeof exports.default !== 'object' || exports.default === null) {
    const found = 'default' in exports ? `a default export of type ${typeof exports.default}` : 'no default export'
    const hint = 'it should say `export default defineConfig({ ... })`'
    throw new TidemarkError('CONFIG_INVALID', `${file}: got ${found}, ${hint}`)
  }
  return { file, value: exports.default }
}

function describe(file: string, thrown: unknown): { place: string; reason: string } {
  const message = messageOf(thrown).split('\n', 1)[0]!
  const reason = thrown instanceof Error ? `${thrown.name}: ${message}` : `it throws ${message}`
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : ''
  const place =
    importPlace(message) ?? headPlace(stack) ?? framePlace(stack, file) ?? checkedPlace(file, thrown) ?? file
  return { place, reason }
}

// "Cannot find package 'x' imported from /some/file": the line that has 'x' in quotes.
function importPlace(message: string): string | undefined {
  const match = /^Cannot find (?:package|module) '(.+?)' imported from (.+)$/.exec(message)
  const importer = match?.[2]?.startsWith('file:') === true ? fileURLToPath(match[2]) : match?.[2]
  if (match === null || importer === undefined || !existsSync(importer)) return undefined
  const wanted = basename(match[1]!)
  for (const [index, line] of readFileSync(importer, 'utf8').split('\n').entries()) {
    const at = line.indexOf(wanted)
    const quoted = at > 0 && /['"`]/.test(line[at + wanted.length] ?? '')
    if (quoted) return `${importer}:${index + 1}:${line.slice(0, at).search(/['"`][^'"`]*$/) + 1}`
  }
  return importer
}

// A syntax error's stack begins with the place and a drawing of it: "/some/file:3", the line itself, and a caret below it.
function headPlace(stack: string): string | undefined {
  const [head, ...drawing] = stack.split('\n')
  const match = /^((?:file:|\/|[A-Za-z]:[\\/]).*):(\d+)$/.exec(head ?? '')
  if (match === null) return undefined
  const name = match[1]!.startsWith('file:') ? fileURLToPath(match[1]!) : match[1]!
  const caret = drawing.slice(0, 8).find(line => /^\s*\^+\s*$/.test(line))
  return `${name}:${match[2]}${caret === undefined ? '' : `:${caret.indexOf('^') + 1}`}`
}

// The innermost frame in the configuration file itself; else the innermost of any file.
function framePlace(stack: string, file: string): string | undefined {
  const frames = [...stack.matchAll(/(file:\/\/[^\s()]+):(\d+):(\d+)\)?$/gm)]
  const frame = frames.find(each => fileURLToPath(each[1]!) === file) ?? frames[0]
  return frame === undefined ? undefined : `${fileURLToPath(frame[1]!)}:${frame[2]}:${frame[3]}`
}

// V8 keeps the place of a syntax error in a JavaScript module to itself, but `node --check` prints it. Nothing is run.
function checkedPlace(file: string, thrown: unknown): string | undefined {
  if (!(thrown instanceof SyntaxError)) return undefined
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 10_000 })
  return headPlace(stderr ?? '') ?? `${file}, or a file that it imports`
}
