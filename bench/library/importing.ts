// How long a program takes to import `tidemark` as users get it: built, by its name, without the conditions that choose the
// sources. Each import is in a process of its own that does nothing else. Beside the package stand those that it can use; that
// none of them is loaded is looked at, not believed.
//
//   cold    as Node does it: every file is read and compiled
//   warm    with Node's compile cache (NODE_COMPILE_CACHE), filled by an earlier run
//
// The files themselves are in the system's cache both times.
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { joinModules } from '../../toolchain/join.ts'
import { median } from '../table.ts'
import type { Figures, Job } from './scenes.ts'

const root = resolve(import.meta.dirname, '../..')
const PEERS = ['@opentelemetry', 'msgpackr', 'pg', 'redis'] as const
const TIMES = 25

const importer = `const began = performance.now()
await import(process.argv[2])
console.log(performance.now() - began)
`

const lister = `import { registerHooks } from 'node:module'
const urls = []
registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
await import('tidemark')
console.log(JSON.stringify(urls))
`

/** Builds the package into a project of its own, in a temporary folder. The caller removes it. */
export function makeImportProject(): string {
  const project = mkdtempSync(join(tmpdir(), 'tidemark-bench-import-'))
  const modules = join(project, 'node_modules')
  const tidemark = join(modules, 'tidemark')
  mkdirSync(tidemark, { recursive: true })
  cpSync(join(root, 'package.json'), join(tidemark, 'package.json'))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const typeless = ['--noCheck', '--declaration', 'false', '--isolatedDeclarations', 'false']
  const args = [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(tidemark, 'dist'), ...typeless]
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`the package does not build:\n${stdout}`)
  joinModules(join(tidemark, 'dist'), 'index.js')
  for (const name of PEERS) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  writeFileSync(join(project, 'empty.mjs'), '')
  writeFileSync(join(project, 'importer.mjs'), importer)
  writeFileSync(join(project, 'lister.mjs'), lister)
  return project
}

export async function measureImport({ series, project, smoke }: Job): Promise<Figures> {
  if (project === undefined) throw new Error('there is no project to import in')
  const cache = series === 'warm' ? mkdtempSync(join(tmpdir(), 'tidemark-bench-compiled-')) : undefined
  const env = { ...process.env, NODE_OPTIONS: '', ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }) }
  const run = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: project, env })).stdout
  try {
    const modules = modulesOf(await run('lister.mjs'))
    const [ownMs, emptyMs]: [number[], number[]] = [[], []]
    for (let i = 0; i <= (smoke ? 1 : TIMES); i++) {
      const own = Number(await run('importer.mjs', 'tidemark'))
      const empty = Number(await run('importer.mjs', './empty.mjs'))
      // The first one fills the compile cache.
      if (i === 0) continue
      ownMs.push(own)
      emptyMs.push(empty)
    }
    return { importMs: median(ownMs) - median(emptyMs), leastMs: Math.min(...ownMs) - Math.min(...emptyMs), modules }
  } finally {
    if (cache !== undefined) rmSync(cache, { recursive: true, force: true })
  }
}

function modulesOf(listed: string): number {
  const urls = JSON.parse(listed) as string[]
  const own = urls.filter(url => url.startsWith('file:') && url.includes('/tidemark/dist/'))
  const others = urls.filter(url => url.startsWith('file:') && !own.includes(url))
  if (others.length > 0) throw new Error(`importing tidemark loads ${others.join(', ')}`)
  if (own.length === 0) throw new Error(`importing tidemark loads nothing of its own, but ${urls.join(', ')}`)
  return own.length
}
