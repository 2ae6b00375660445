// Joins the modules that `import 'tidemark'` loads into one file of dist/: opening and linking a module costs more than all
// that is in it (docs/decisions/0018-one-file-to-import.md). Each becomes a function's body in that file, in the order in
// which they would run; in its own place stays a module of the same exports, so that every other file of the package, and
// every entry, sees the same classes. That is right for modules without cycles and without state, which a test of the
// tree holds. Not for: making anything smaller. What is imported by `import()` stays where it is.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'

const JOINED = 'joined.js'

interface Part {
  /** Relative to dist. */
  readonly file: string
  /** What the parts before it are imported as. */
  readonly lines: readonly string[]
  readonly body: string
  /** Exported names, and what they are called inside. */
  readonly exported: ReadonlyMap<string, string>
}

/** As tsc prints them: a statement begins a line, and an import or a list of exports is one statement. */
const IMPORT = /^import\s+(?:\{([^}]*)\}|\* as (\w+)|(\w+))\s+from\s+'([^']+)';?$/gm
const EXPORT_FROM = /^export\s+\{([^}]*)\}\s+from\s+'([^']+)';?$/gm
const EXPORT_LIST = /^export\s+\{([^}]*)\};?$/gm
const EXPORT = /^export\s+(?=(?:async\s+)?(?:class|function\*?|const)\s+(\w+))/gm

class Joiner {
  readonly #dist: string
  readonly #parts = new Map<string, Part>()
  readonly #outside = new Map<string, string>()

  constructor(dist: string) {
    this.#dist = dist
  }

  add(file: string): void {
    if (this.#parts.has(file)) return
    const source = readFileSync(join(this.#dist, file), 'utf8')
    const lines: string[] = []
    const exported = new Map<string, string>()
    const nameOf = (specifier: string): string => this.#nameOf(file, specifier)
    const body = source
      .replace(EXPORT_FROM, (_, list: string, specifier: string) => {
        const from = nameOf(specifier)
        for (const [name, as] of pairs(list)) exported.set(as, `${from}.${name}`)
        return ''
      })
      .replace(
        IMPORT,
        (_, list: string | undefined, all: string | undefined, one: string | undefined, specifier: string) => {
          const from = nameOf(specifier)
          if (list !== undefined)
            lines.push(
              `const { ${pairs(list)
                .map(pair => pair.join(': '))
                .join(', ')} } = ${from};`,
            )
          else lines.push(all === undefined ? `const ${one} = ${from}.default;` : `const ${all} = ${from};`)
          return ''
        },
      )
      .replace(EXPORT_LIST, (_, list: string) => {
        for (const [name, as] of pairs(list)) exported.set(as, name)
        return ''
      })
      .replace(EXPORT, (_, name: string) => {
        exported.set(name, name)
        return ''
      })
      .replaceAll('import.meta.url', `new URL('./${file}', import.meta.url).href`)
      .replace(/\bimport\('(\.[^']+)'\)/g, (_, specifier: string) => `import('./${resolved(file, specifier)}')`)
    const left = /^(?:import|export)\b.*/m.exec(body)
    if (left !== null) throw new Error(`dist/${file} cannot be joined: '${left[0]}'`)
    this.#parts.set(file, { file, lines, body: body.trim(), exported })
  }

  #nameOf(file: string, specifier: string): string {
    if (specifier.startsWith('.')) {
      const target = resolved(file, specifier)
      this.add(target)
      return variable(target)
    }
    const known = this.#outside.get(specifier) ?? `$outside${this.#outside.size}`
    this.#outside.set(specifier, known)
    return known
  }

  /** Writes the joined file, and puts the modules that give its parts in the parts' places. */
  write(): void {
    const outside = Array.from(this.#outside, ([specifier, name]) => `import * as ${name} from '${specifier}';`)
    const parts = [...this.#parts.values()]
    const text = parts.map(({ file, lines, body, exported }) => {
      const given = Array.from(exported, ([as, name]) => (as === name ? as : `${as}: ${name}`))
      return `// ${file}\nexport const ${variable(file)} = (() => {\n${[...lines, body].join('\n')}\nreturn { ${given.join(', ')} };\n})();\n`
    })
    writeFileSync(join(this.#dist, JOINED), [...outside, '', ...text].join('\n'))
    for (const { file, exported } of parts) {
      const from = posix.join(relative(dirname(file), '.') || '.', JOINED)
      const names = [...exported.keys()].join(', ')
      const specifier = from.startsWith('.') ? from : `./${from}`
      const own = names === '' ? '' : `export const { ${names} } = ${variable(file)};\n`
      writeFileSync(join(this.#dist, file), `import { ${variable(file)} } from '${specifier}';\n${own}`)
    }
  }
}

/** `a, b as c` and `a, b: c` as pairs; the second of a pair is the first where nothing else is said. */
function pairs(list: string): [string, string][] {
  return list
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
    .map(each => {
      const [name = '', as = name] = each.split(/\s+as\s+/)
      return [name, as]
    })
}

function resolved(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier)
}

function variable(file: string): string {
  return `$${file.replace(/\.js$/, '').replaceAll(/[^A-Za-z0-9]/g, '_')}`
}

/** Joins what `entry` of the folder imports, directly or not. */
export function joinModules(dist: string, entry: string): void {
  if (existsSync(join(dist, JOINED))) throw new Error(`dist/${JOINED} is there already`)
  const joiner = new Joiner(dist)
  joiner.add(entry)
  joiner.write()
}
