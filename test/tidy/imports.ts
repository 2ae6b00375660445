// Who imports whom: the order of the layers, cycles, and files that nothing reaches.
import { posix } from 'node:path'
import { lineOf } from './scan.ts'
import type { Finding, Project, Rule } from './project.ts'

/** A folder imports only from itself and from folders above it. ARCHITECTURE.md says what each is for. */
export const layers = [
  'base',
  'policy',
  'wire',
  'store',
  'journal',
  'near',
  'codec',
  'coherence',
  'tier',
  'source',
  'cache',
  'security',
  'server',
  'admin',
  'config',
  'library',
  'cli',
  'testing',
] as const

interface Import {
  readonly specifier: string
  readonly at: number
  /** Gone when the code runs. */
  readonly typeOnly: boolean
}

/** Imports and re-exports, static and dynamic, with a literal as specifier. */
function importsOf(project: Project, path: string): Import[] {
  const { code, literals } = project.scanned(path)
  const found: Import[] = []
  for (const { at, text, open } of literals) {
    const before = code.slice(Math.max(0, at - 2000), at)
    if (open) continue
    const statement = /\b(import|export)(\s+type)?\b[^'"`;()]*?\bfrom\s*$/.exec(before)
    if (statement !== null) found.push({ specifier: text, at, typeOnly: statement[2] !== undefined })
    else if (/\bimport\s*\(?\s*$/.test(before)) found.push({ specifier: text, at, typeOnly: false })
  }
  return found
}

function resolveFrom(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier)
}

/** The subpaths of the package as sources: 'tidemark/sqlite' -> 'src/sqlite.ts'. */
function packageEntries(project: Project): Map<string, string> {
  const entries = new Map<string, string>()
  const text = project.text('package.json')
  if (text === '') return entries
  const manifest = JSON.parse(text) as {
    name: string
    bin?: Record<string, string>
    exports?: Record<string, string | Record<string, string>>
  }
  for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
    const source = typeof target === 'string' ? undefined : target['tidemark-source']
    if (source !== undefined) entries.set(posix.join(manifest.name, subpath), posix.normalize(source))
  }
  for (const [name, target] of Object.entries(manifest.bin ?? {})) {
    entries.set(`bin:${name}`, target.replace(/^(?:\.\/)?dist\//, 'src/').replace(/\.js$/, '.ts'))
  }
  return entries
}

const layerOf = (path: string): number => {
  const folder = /^src\/([^/]+)\//.exec(path)?.[1]
  return folder === undefined ? layers.length : layers.indexOf(folder as (typeof layers)[number])
}

function checkLayers(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources('src/')) {
    const own = layerOf(path)
    if (own < 0) findings.push({ path, line: 1, message: `is in a folder that is none of: ${layers.join(', ')}` })
    for (const { specifier, at } of importsOf(project, path)) {
      const line = lineOf(project.text(path), at)
      if (!specifier.startsWith('.')) continue
      const target = resolveFrom(path, specifier)
      if (!specifier.endsWith('.ts'))
        findings.push({ path, line, message: `imports '${specifier}': name the .ts file` })
      else if (!target.startsWith('src/')) findings.push({ path, line, message: `imports ${target}, outside src/` })
      else if (layerOf(target) > own) {
        const allowed = layers.slice(0, own + 1).join(', ')
        findings.push({ path, line, message: `imports ${target}: ${layers[own]} may import only ${allowed}` })
      }
    }
  }
  return findings
}

function checkCycles(project: Project): Finding[] {
  const findings: Finding[] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      const cycle = [...trail.slice(trail.indexOf(path)), path]
      findings.push({ path, line: 1, message: `imports itself: ${cycle.join(' -> ')}` })
      return
    }
    state.set(path, 'open')
    for (const { specifier } of importsOf(project, path)) {
      const target = resolveFrom(path, specifier)
      if (specifier.startsWith('.') && project.files.has(target)) visit(target, [...trail, path])
    }
    state.set(path, 'done')
  }
  for (const path of project.sources('src/')) visit(path, [])
  return findings
}

/**
 * Files that a file makes run: what it imports, and every literal that spells a file beside it, as worker entries and
 * programs started by tests do: './worker.ts', or './worker' before `${extension}`.
 */
function reachedFrom(project: Project, path: string, entries: ReadonlyMap<string, string>): string[] {
  const reached: string[] = []
  for (const { specifier } of importsOf(project, path)) {
    const target = specifier.startsWith('.') ? resolveFrom(path, specifier) : entries.get(specifier)
    if (target !== undefined) reached.push(target)
  }
  for (const { text } of project.scanned(path).literals) {
    if (!/^[\w./-]+$/.test(text)) continue
    const stem = text.replace(/\.(?:ts|js)?$/, '')
    reached.push(`${resolveFrom(path, stem)}.ts`)
    if (!path.startsWith('src/')) reached.push(`${posix.normalize(stem)}.ts`)
  }
  return reached.filter(target => project.files.has(target))
}

function checkReached(project: Project): Finding[] {
  const entries = packageEntries(project)
  const scripts = project.text('package.json') + project.text('.ci/run')
  const open = project
    .sources()
    .filter(path => path.endsWith('.test.ts') || path.endsWith('.config.ts') || scripts.includes(path))
  open.push(...entries.values())
  const reached = new Set<string>()
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    if (project.files.has(path)) open.push(...reachedFrom(project, path, entries))
  }
  return project
    .sources()
    .filter(path => !reached.has(path) && !path.endsWith('.d.ts'))
    .map(path => ({ path, line: 1, message: 'nothing imports it and it is no entry of package.json: remove it' }))
}

export const importRules: readonly Rule[] = [
  {
    name: 'a folder of src imports only the folders above it',
    check: checkLayers,
    caught: [
      {
        title: 'an import of a folder below',
        files: { 'src/wire/a.ts': "import { b } from '../store/b.ts'", 'src/store/b.ts': 'export const b = 1' },
        message: /src\/store\/b\.ts: wire may import only base, policy, wire/,
      },
      {
        title: 'a type import of a folder below, over several lines',
        files: { 'src/base/a.ts': "import type {\n  B,\n  C,\n} from '../cache/b.ts'" },
        message: /cache\/b\.ts: base may import only base$/,
      },
      {
        title: 'a dynamic import of a folder below',
        files: { 'src/base/a.ts': "const b = await import('../cli/b.ts')" },
        message: /base may import only/,
      },
      {
        title: 'a re-export out of src',
        files: { 'src/cli/a.ts': "export * from '../../test/b.ts'" },
        message: /outside/,
      },
      { title: 'an unknown folder', files: { 'src/extra/a.ts': '' }, message: /in a folder that is none of/ },
      {
        title: 'an import without .ts',
        files: { 'src/cli/a.ts': "import { b } from './b'" },
        message: /name the \.ts/,
      },
    ],
    passes: [
      {
        title: 'imports of folders above, and of src itself by index.ts',
        files: {
          'src/store/a.ts': "import { b } from '../base/b.ts' // import { c } from '../cli/c.ts'",
          'src/index.ts': "export { c } from './cli/c.ts'",
        },
      },
    ],
  },
  {
    name: 'no file of src imports itself through others',
    check: checkCycles,
    caught: [
      {
        title: 'a cycle of three files, one link a type',
        files: {
          'src/base/a.ts': "import { b } from './b.ts'",
          'src/base/b.ts': "import type { C } from './c.ts'",
          'src/base/c.ts': "export { a } from './a.ts'",
        },
        message: /src\/base\/a\.ts -> src\/base\/b\.ts -> src\/base\/c\.ts -> src\/base\/a\.ts/,
      },
    ],
    passes: [
      {
        title: 'two ways to one file',
        files: {
          'src/base/a.ts': "import { b } from './b.ts'\nimport { c } from './c.ts'",
          'src/base/b.ts': "import { c } from './c.ts'",
          'src/base/c.ts': '',
        },
      },
    ],
  },
  {
    name: 'every file is reached from an entry of the package, a script or a test',
    check: checkReached,
    caught: [
      {
        title: 'a file that only a comment names',
        files: { 'test/a.test.ts': "// import './b.ts'", 'test/b.ts': '' },
        message: /nothing imports it/,
      },
      {
        title: 'two files that only import one another',
        files: { 'src/base/a.ts': "import './b.ts'", 'src/base/b.ts': "import './a.ts'" },
        message: /nothing imports it/,
      },
    ],
    passes: [
      {
        title: 'entries of the package, of bin and of workers',
        files: {
          'package.json': JSON.stringify({
            name: 'p',
            exports: { './x': { 'tidemark-source': './src/x.ts' } },
            bin: { p: 'dist/cli/main.js' },
            scripts: { build: 'node toolchain/build.ts' },
          }),
          'src/x.ts': '',
          'src/cli/main.ts': 'new Worker(new URL(`./worker${extension}`, import.meta.url))',
          'src/cli/worker.ts': '',
          'toolchain/build.ts': '',
        },
      },
    ],
  },
]
