// What `npm test` itself does: which files it runs, what it counts, and what makes it fail. On a small project of its own.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

const passing = "import { test } from 'node:test'\ntest('it holds', () => {})\n"
const failing = "import { test } from 'node:test'\ntest('it fails', () => { throw new Error('on purpose') })\n"
const skipping =
  "import { test } from 'node:test'\n" +
  "test('needs a server', { skip: 'memcached is not installed' }, () => {})\ntest('it holds', () => {})\n"

describe('the test runner', () => {
  let folder = ''

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-run-'))
    for (const name of ['passes', 'fails', 'skips']) await mkdir(join(folder, 'test', name), { recursive: true })
    await cp(join(import.meta.dirname, 'run.ts'), join(folder, 'test/run.ts'))
    await writeFile(join(folder, 'test/passes/a.test.ts'), passing)
    await writeFile(join(folder, 'test/passes/ignored.ts'), failing)
    await writeFile(join(folder, 'test/fails/b.test.ts'), failing)
    await writeFile(join(folder, 'test/skips/c.test.ts'), skipping)
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const runTests = (args: readonly string[], noSkip = false): { status: number | null; output: string } => {
    const { NODE_TEST_CONTEXT: _, TIDEMARK_NO_SKIP: __, ...environment } = process.env
    const env = noSkip ? { ...environment, TIDEMARK_NO_SKIP: '1' } : environment
    const { status, stdout, stderr } = spawnSync(process.execPath, ['test/run.ts', ...args], { cwd: folder, env })
    return { status, output: String(stdout) + String(stderr) }
  }

  test('runs all test files and nothing else, and fails when one fails', () => {
    const { status, output } = runTests([])
    assert.equal(status, 1)
    assert.match(output, /# files 3\n# tests 4\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 1\n/)
    assert.match(output, /on purpose/)
  })

  test('runs the files whose path holds one of the words', () => {
    assert.match(runTests(['passes']).output, /# files 1\n# tests 1\n# pass 1\n# fail 0\n/)
    assert.equal(runTests(['passes', 'test/skips/c.test.ts']).status, 0)
    assert.equal(runTests(['fails']).status, 1)
  })

  test('fails when no file matches', () => {
    const { status, output } = runTests(['nothing'])
    assert.equal(status, 1)
    assert.match(output, /No test file matches nothing/)
  })

  test('lists what was skipped and why, and fails for it where nothing may be skipped', () => {
    const lenient = runTests(['skips'])
    assert.equal(lenient.status, 0)
    assert.match(
      lenient.output,
      /SKIPPED: 1 of .*\n.*test\/skips\/c\.test\.ts: needs a server \(memcached is not installed\)/,
    )
    const strict = runTests(['skips'], true)
    assert.equal(strict.status, 1)
    assert.match(strict.output, /# pass 1\n# fail 1\n/)
  })
})
