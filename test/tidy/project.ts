// The files that the rules look at, as a map from path to text, so that an example of a mistake is a project of one or two
// files in memory.
import { globSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { scan } from './scan.ts'
import type { Scanned } from './scan.ts'

export interface Finding {
  readonly path: string
  readonly line: number
  readonly message: string
}

export interface Example {
  /** What the example shows, for the test's name. */
  readonly title: string
  readonly files: Readonly<Record<string, string>>
}

export interface Rule {
  /** A sentence: what holds. */
  readonly name: string
  check(project: Project): Finding[]
  /** Each of these must be caught, with a message that matches. */
  readonly caught: readonly (Example & { readonly message: RegExp })[]
  /** Each of these must pass. */
  readonly passes: readonly Example[]
}

export class Project {
  readonly files: ReadonlyMap<string, string>
  readonly #scanned = new Map<string, Scanned>()

  constructor(files: Readonly<Record<string, string>>) {
    this.files = new Map(Object.entries(files))
  }

  text(path: string): string {
    return this.files.get(path) ?? ''
  }

  scanned(path: string): Scanned {
    let scanned = this.#scanned.get(path)
    if (scanned === undefined) this.#scanned.set(path, (scanned = scan(this.text(path))))
    return scanned
  }

  /** Paths of TypeScript files, all or those below `folder`. */
  sources(folder = ''): string[] {
    return [...this.files.keys()].filter(path => path.startsWith(folder) && path.endsWith('.ts'))
  }
}

const unread = /(^|\/)(node_modules|dist|\.git|\.data|coverage)(\/|$)|\.(tgz|db|db-wal|db-shm|png|xz)$/

/** All text files of the repository, without what .gitignore names. */
export function readProject(root: string): Project {
  const files: Record<string, string> = {}
  const paths = globSync(['**/*', '.*', '.ci/*'], { cwd: root, exclude: path => unread.test(path) })
  for (const path of paths.sort()) {
    const absolute = resolve(root, path)
    if (unread.test(path) || !statSync(absolute).isFile()) continue
    files[path] = readFileSync(absolute, 'utf8')
  }
  return new Project(files)
}
