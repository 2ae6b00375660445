// The documents' commands, run (page.ts says which those are). Each page has a server of its own, with the configuration that the
// page shows (a `ts` block that begins with `// tidemark.config.ts`) or that of examples/cities.
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import type { ChildProcess } from 'node:child_process'
import { assertPrinted, readPage, type Step } from './page.ts'

const root = resolve(import.meta.dirname, '../..')
const program = `'${process.execPath}' --conditions=tidemark-source '${join(root, 'src/cli/main.ts')}'`
/** Its commands are for several servers, a cluster and Postgres: several-servers.test.ts runs them. */
const elsewhere = 'docs/guides/several-servers.md'
const skip = spawnSync('redis-cli', ['--version']).error === undefined ? false : 'redis-cli is not installed'

/** What a reader's shell would run, with the port of the test's server, and replies as a terminal shows them. */
function runnable(command: string, port: number): string {
  return command
    .replace(/^redis-cli /, `redis-cli --no-raw -p ${port} `)
    .replace(/^npm run -s tidemark -- cli /, `${program} cli -p ${port} `)
}

function runStep(step: Step, port: number): Promise<{ output: string; failed: boolean }> {
  return new Promise(settle => {
    execFile('bash', ['-c', runnable(step.command, port)], (error, stdout, stderr) => {
      settle({ output: (stdout + stderr).trimEnd(), failed: error !== null })
    })
  })
}

async function startServer(folder: string, config: string | undefined): Promise<{ child: ChildProcess; port: number }> {
  let file = join(root, 'examples/cities/tidemark.config.ts')
  if (config !== undefined) {
    file = join(folder, 'tidemark.config.ts')
    await writeFile(file, config)
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    await mkdir(join(folder, 'node_modules'))
    await symlink(root, join(folder, 'node_modules/tidemark'))
  }
  const args = ['serve', '--config', file, '--data', join(folder, 'data'), '--port', '0', '--admin-port', '0']
  const child = spawn('bash', ['-c', `exec ${program} "$@"`, 'bash', ...args, '--threads', '2'], { cwd: folder })
  let output = ''
  child.stderr.on('data', chunk => (output += String(chunk)))
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    output += String(chunk)
    const port = /127\.0\.0\.1:(\d+)[\s\S]*127\.0\.0\.1:\d+/.exec(output)?.[1]
    if (port === undefined) continue
    child.stdout.resume()
    return { child, port: Number(port) }
  }
  throw new Error(`serve ended without saying where it listens:\n${output}`)
}

describe('commands in documents', () => {
  const pages = globSync(['README.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: root })
    .filter(path => !path.includes('node_modules') && path !== elsewhere)
    .map(path => {
      const { config, steps } = readPage(readFileSync(join(root, path), 'utf8'))
      return { path, page: { config, steps: steps.filter(({ language }) => language !== 'sql') } }
    })
    .filter(({ page }) => page.steps.length > 0)

  test('are found in the README, the start page and the guides', () => {
    const paths = pages.map(({ path }) => path)
    for (const path of ['README.md', 'docs/start.md', 'docs/guides/sqlite-keyspaces.md'])
      assert.ok(paths.includes(path), path)
  })

  for (const { path, page } of pages) {
    test(`${path} does what it says`, { skip }, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'tidemark-docs-'))
      let child: ChildProcess | undefined
      try {
        const server = await startServer(folder, page.config)
        child = server.child
        for (const step of page.steps) {
          const { output, failed } = await runStep(step, server.port)
          assertPrinted(step, output, failed, path)
        }
      } finally {
        if (child !== undefined && child.exitCode === null) {
          const exited = once(child, 'exit')
          child.kill('SIGTERM')
          await exited
        }
        await rm(folder, { recursive: true, force: true })
      }
    })
  }
})
