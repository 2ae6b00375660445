// One setting's value out of its four places: default < file < environment < flag. What stands in a place that is overridden is
// checked all the same. Not for: which settings there are (schema.ts) and how they fit together (resolve.ts).
import { assert } from '../base/assert.ts'
import { gotText, Mistakes } from './mistakes.ts'
import { withoutPassword } from './addresses.ts'
import { suggestion } from './nearest.ts'
import { allowedText, readValue, schema } from './schema.ts'
import type { Setting, SettingValue } from './schema.ts'

export interface Layered {
  /** Absolute, with what it exports. */
  readonly file: { readonly name: string; readonly value: unknown } | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** By name, without the dashes. */
  readonly flags: ReadonlyMap<string, string>
}

export type PlainObject = Readonly<Record<string, unknown>>

export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The names that may stand in the file at `prefix` ('' or `databases.*.`). */
export function namesAt(prefix: string): readonly string[] {
  const names = schema
    .filter(each => each.path.startsWith(prefix))
    .map(each => each.path.slice(prefix.length).split('.')[0]!)
  return [...new Set(names)].filter(name => name !== '')
}

/** The objects in the file that hold settings, not names that the user chooses. */
const groups: readonly string[] = namesAt('').filter(name =>
  schema.some(({ path }) => path.startsWith(`${name}.`) && !path.includes('*')),
)

export class Layers {
  readonly mistakes: Mistakes = new Mistakes()
  readonly #inputs: Layered
  readonly #root: PlainObject
  readonly #read = new Map<string, { own: SettingValue | undefined; over: SettingValue | undefined }>()

  constructor(inputs: Layered) {
    this.#inputs = inputs
    const value = inputs.file?.value ?? {}
    this.#root = isPlainObject(value) ? value : {}
    if (!isPlainObject(value))
      this.mistakes.add(inputs.file?.name ?? 'config', `got ${gotText(value)}, allowed is an object`)
    this.#checkNames('', this.#root, '')
    for (const group of groups) this.#checkGroup(group)
    this.#checkVariables()
    for (const setting of schema) {
      if (setting.path.includes('*')) continue
      const own = setting.path === '' ? undefined : this.#inFile(setting, this.#holder(setting.path), setting.path)
      this.#read.set(nameOf(setting), { own, over: this.#fromFlag(setting) ?? this.#fromVariable(setting) })
    }
  }

  /** Settings that belong together stand in an object of their own: `snapshot.path`. */
  #holder(path: string): PlainObject {
    const [group, key] = path.split('.')
    const value = key === undefined ? this.#root : this.#root[group!]
    return isPlainObject(value) ? value : {}
  }

  #checkGroup(group: string): void {
    const value = this.#root[group]
    if (isPlainObject(value)) this.#checkNames(`${group}.`, value, `${group}.`)
    else if (value !== undefined) this.fileMistake(group, `got ${gotText(value)}, allowed is an object`)
  }

  /**
   * The value of a setting that stands at the top, or, as `--flag`, in no file; undefined when it is nowhere and has no
   * default.
   */
  top(path: string): SettingValue | undefined {
    const { own, over } = this.#read.get(path)!
    return over ?? own ?? this.#default(path)
  }

  /** True when the file says it (and no flag or variable overrides it). */
  isFromFile(path: string): boolean {
    const { own, over } = this.#read.get(path)!
    return own !== undefined && over === undefined
  }

  /** All names in `databases` or `keyspaces`, those with mistakes in them too. */
  names(group: 'databases' | 'keyspaces'): readonly string[] {
    const value = this.#root[group]
    return isPlainObject(value) ? Object.keys(value) : []
  }

  /** The entries of `databases` or `keyspaces`; those that are no objects or badly named are reported and left out. */
  entries(group: 'databases' | 'keyspaces'): readonly (readonly [name: string, entry: PlainObject])[] {
    const value = this.#root[group] === undefined ? {} : this.#root[group]
    if (!isPlainObject(value)) {
      this.fileMistake(group, `got ${gotText(value)}, allowed is an object with a name for each`)
      return []
    }
    const entries: (readonly [string, PlainObject])[] = []
    for (const [name, entry] of Object.entries(value)) {
      if (entry === undefined) continue
      const path = `${group}.${name}`
      if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) {
        this.fileMistake(path, 'the name is 1 to 64 of the letters A to Z and a to z, digits, _ . and -')
      } else if (!isPlainObject(entry)) this.fileMistake(path, `got ${gotText(entry)}, allowed is an object`)
      else {
        this.#checkNames(`${group}.*.`, entry, `${path}.`)
        entries.push([name, entry])
      }
    }
    return entries
  }

  /** The value of a setting of an entry; undefined when it is not there and has no default. */
  inEntry(group: 'databases' | 'keyspaces', name: string, entry: PlainObject, key: string): SettingValue | undefined {
    const setting = settingAt(`${group}.*.${key}`)
    const own = this.#inFile(setting, entry, `${group}.${name}.${key}`)
    if (setting.required === true && entry[key] === undefined) {
      this.fileMistake(`${group}.${name}.${key}`, `is missing, allowed is ${allowedText(setting.type)}`)
    }
    if (setting.inherits !== true) return own ?? this.#default(setting.path)
    return this.#read.get(key)!.over ?? own ?? this.top(key)
  }

  /** Reports what is no setting of a database of this kind. */
  checkKind(name: string, entry: PlainObject, kind: 'sqlite' | 'postgres'): void {
    for (const { path, of } of schema) {
      const key = path.slice('databases.*.'.length)
      if (of === undefined || of === kind || entry[key] === undefined) continue
      this.fileMistake(`databases.${name}.${key}`, `is a setting of ${of}({ ... }), and this is ${kind}({ ... })`)
    }
  }

  fileMistake(path: string, what: string): void {
    this.mistakes.add(path, `${what} (${this.#inputs.file?.name ?? 'no file'})`)
  }

  #inFile(setting: Setting, holder: PlainObject, path: string): SettingValue | undefined {
    const raw = holder[path.slice(path.lastIndexOf('.') + 1)]
    if (raw === undefined) return undefined
    const value = readValue(setting.type, raw)
    if (value === undefined) this.fileMistake(path, refusal(setting, raw))
    return value
  }

  #fromFlag(setting: Setting): SettingValue | undefined {
    const raw = setting.flag === undefined ? undefined : this.#inputs.flags.get(setting.flag)
    if (raw === undefined) return undefined
    const value = readValue(setting.type, raw)
    if (value === undefined) this.mistakes.add(`--${setting.flag}`, refusal(setting, raw))
    return value
  }

  // An empty variable is how many tools spell one that is not set. Not for a password: there it is a secret that was lost.
  #fromVariable(setting: Setting): SettingValue | undefined {
    const raw = setting.environment === undefined ? undefined : this.#inputs.environment[setting.environment]
    if (raw === undefined || (raw === '' && !isSecret(setting))) return undefined
    const value = readValue(setting.type, raw)
    if (value !== undefined) return value
    // Kubernetes tells every container of a service called tidemark where it is, in a variable of this name.
    const hint = /^(tcp|udp):\/\//.test(raw) ? ' (set by Kubernetes? `enableServiceLinks: false` turns that off)' : ''
    this.mistakes.add(setting.environment!, refusal(setting, raw) + hint)
    return undefined
  }

  #default(path: string): SettingValue | undefined {
    const setting = settingAt(path)
    return setting.default === undefined ? undefined : readValue(setting.type, setting.default)
  }

  #checkNames(prefix: string, holder: PlainObject, shown: string): void {
    const known = namesAt(prefix)
    for (const name of Object.keys(holder)) {
      if (known.includes(name) || (prefix === 'databases.*.' && name === 'kind')) continue
      this.fileMistake(shown + name, `there is no such setting${suggestion(name, known)}`)
    }
  }

  // Only what looks like a slip of the pen: other tools set variables that begin with TIDEMARK_ too.
  #checkVariables(): void {
    const known = schema.flatMap(setting => setting.environment ?? [])
    for (const name of Object.keys(this.#inputs.environment)) {
      if (!name.startsWith('TIDEMARK_') || known.includes(name)) continue
      const meant = suggestion(
        name.slice('TIDEMARK_'.length),
        known.map(each => each.slice('TIDEMARK_'.length)),
      )
      if (meant !== '') this.mistakes.add(name, `there is no such variable${meant.replace('mean ', 'mean TIDEMARK_')}`)
    }
  }
}

function settingAt(path: string): Setting {
  const setting = schema.find(each => nameOf(each) === path)
  assert(setting !== undefined, `the schema has ${path}`)
  return setting
}

/** A setting that has no place in the file goes by its flag. */
function nameOf({ path, flag }: Setting): string {
  return path === '' ? `--${flag}` : path
}

function isSecret(setting: Setting): boolean {
  return setting.type.kind === 'text' && setting.type.secret === true
}

function refusal(setting: Setting, raw: unknown): string {
  const got = isSecret(setting) ? (raw === '' ? 'an empty one' : 'something else') : withoutPassword(gotText(raw))
  return `got ${got}, allowed is ${allowedText(setting.type)}`
}
