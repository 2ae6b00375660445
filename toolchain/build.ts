// What `npm run build` runs: dist/ from src/, as it is published. Types and JavaScript come from tsc; what is not
// TypeScript (Lua, HTML, ...) is copied; then the result is checked, since nothing else would notice before a user does:
// no import of a .ts file, of a development dependency or of something that is not there. Every module of src/ is one
// module of dist/; what those hold that `import 'tidemark'` loads is in one file that they share (join.ts).
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { joinModules } from './join.ts'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

interface Manifest {
  readonly name: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest

function compile(): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Error('build: the compiler reported errors (above)')
}

function copyAssets(): void {
  for (const file of globSync('**/*.*', { cwd: join(root, 'src') })) {
    if (file.endsWith('.ts')) continue
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    copyFileSync(join(root, 'src', file), join(dist, file))
  }
}

/** Specifiers of static and dynamic imports, re-exports and `new URL(...)`, as tsc prints them: statements begin a line. */
function specifiersOf(code: string): string[] {
  const patterns = [
    /^(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])([^'"\n]+)\1/gm,
    /^import\s*(['"])([^'"\n]+)\1/gm,
    /\bimport\(\s*(['"])([^'"\n]+)\1\s*\)/g,
    /\bnew URL\(\s*(['"])(\.[^'"\n]+)\1/g,
  ]
  return patterns.flatMap(pattern => [...code.matchAll(pattern)].map(match => match[2]!))
}

function mistakeIn(file: string, specifier: string, allowed: ReadonlySet<string>): string | undefined {
  if (specifier.startsWith('.')) {
    if (/(?<!\.d)\.[cm]?ts$/.test(specifier)) return 'imports a TypeScript source'
    return existsSync(resolve(dist, dirname(file), specifier)) ? undefined : 'imports a file that is not in dist'
  }
  if (specifier.startsWith('node:')) return undefined
  if (builtinModules.includes(specifier)) return `names a module of Node without 'node:'`
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  return allowed.has(name) ? undefined : 'imports a package that users do not get (a dev dependency?)'
}

function checkImports(): void {
  const allowed = new Set([
    ...Object.keys(manifest.dependencies ?? {}),
    ...Object.keys(manifest.peerDependencies ?? {}),
  ])
  const mistakes: string[] = []
  for (const file of globSync('**/*.{js,d.ts}', { cwd: dist })) {
    const code = readFileSync(join(dist, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    for (const specifier of specifiersOf(code)) {
      // A declaration names its sibling's declarations by their JavaScript or by their TypeScript file name.
      const target = file.endsWith('.d.ts') ? specifier.replace(/(?<!\.d)\.ts$/, '.js') : specifier
      const mistake = mistakeIn(file, target, allowed)
      if (mistake !== undefined) mistakes.push(`dist/${file}: '${specifier}' ${mistake}`)
    }
  }
  if (mistakes.length > 0) throw new Error(`build: ${mistakes.length} wrong imports\n  ${mistakes.join('\n  ')}`)
}

/** What package.json points to is there. */
function checkEntries(): void {
  const targets = Object.values(manifest.bin)
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === 'string') targets.push(entry)
    else
      targets.push(
        ...Object.entries(entry).flatMap(([condition, file]) => (condition === 'tidemark-source' ? [] : file)),
      )
  }
  const gone = targets.filter(file => !existsSync(join(root, file)))
  if (gone.length > 0) throw new Error(`build: package.json names files that are not there: ${gone.join(', ')}`)
}

function makeExecutable(): void {
  for (const file of Object.values(manifest.bin)) {
    const firstLine = readFileSync(join(root, file), 'utf8').split('\n', 1)[0]
    if (firstLine !== '#!/usr/bin/env node')
      throw new Error(`build: ${file} starts with '${firstLine}', not its shebang`)
    chmodSync(join(root, file), 0o755)
  }
}

/** The joined entry gives what it gave before. */
function joinEntry(): void {
  const named = (): string => {
    const code = `console.log(Object.keys(await import(${JSON.stringify(pathToFileURL(join(dist, 'index.js')))})).join())`
    const args = ['--input-type=module', '-e', code]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    if (status !== 0) throw new Error(`build: dist/index.js cannot be imported:\n${stderr}`)
    return stdout
  }
  const before = named()
  joinModules(dist, 'index.js')
  const after = named()
  if (after !== before) throw new Error(`build: joined, dist/index.js exports ${after}, not ${before}`)
}

try {
  rmSync(dist, { recursive: true, force: true })
  compile()
  copyAssets()
  checkEntries()
  checkImports()
  joinEntry()
  makeExecutable()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
