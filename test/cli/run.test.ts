// The command as a person starts it: a process of its own, its streams and its exit code.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { serveHelp } from '../../src/cli/help.ts'

const root = join(import.meta.dirname, '..', '..')

function tidemark(
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): { code: number | null; out: string; err: string } {
  const all = ['--conditions=tidemark-source', ...nodeArgs, join(root, 'src/cli/main.ts'), ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', timeout: 60_000 })
  return { code: status, out: stdout, err: stderr }
}

describe('the command', () => {
  test('explains itself on request, with examples, and that is no failure', () => {
    for (const args of [['--help'], ['-h'], ['help']]) {
      const { code, out, err } = tidemark(args)
      assert.deepEqual([code, err], [0, ''])
      assert.match(out, /^Tidemark: .*\n[^]*tidemark serve --memory 1gb[^]*tidemark cli GET/)
    }
  })
  test('explains its verbs', () => {
    for (const args of [
      ['help', 'serve'],
      ['serve', '--help'],
      ['serve', '-h'],
    ]) {
      assert.deepEqual(tidemark(args), { code: 0, out: serveHelp(), err: '' })
    }
    const { code, out } = tidemark(['help', 'cli'])
    assert.equal(code, 0)
    assert.match(out, /cli/)
  })
  test('says its version and that of Node', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    for (const flag of ['--version', '-v']) {
      assert.deepEqual(tidemark([flag]), {
        code: 0,
        out: `tidemark ${version} (Node ${process.versions.node})\n`,
        err: '',
      })
    }
  })
  test('without a verb, or with one that is not there, is a usage error on stderr', () => {
    const none = tidemark([])
    assert.deepEqual([none.code, none.out], [2, ''])
    assert.match(none.err, /^Tidemark: /)
    const wrong = tidemark(['sevre'])
    assert.deepEqual(wrong, {
      code: 2,
      out: '',
      err: 'tidemark: there is no verb sevre (did you mean serve?); see tidemark --help\n',
    })
    assert.match(tidemark(['--verison']).err, /there is no flag --verison \(did you mean --version\?\)/)
    assert.equal(tidemark(['help', 'srve']).code, 2)
  })
  test('on an older Node says in one line what it needs, before it imports anything', () => {
    const older = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.19.4'})"
    for (const args of [['--version'], ['serve'], []]) {
      const { code, out, err } = tidemark(args, ['--import', older])
      assert.deepEqual([code, out], [1, ''])
      assert.match(err, /^tidemark: NODE_TOO_OLD this is Node 20\.19\.4, and Tidemark needs Node 24 or later: .*\n$/)
    }
    const text = readFileSync(join(root, 'src/cli/main.ts'), 'utf8')
    assert.doesNotMatch(text, /^import\b/m, 'a static import would be read first, and might not parse')
  })
})
