// Finding and importing configuration files, good ones and broken ones: a mistake is one line with the file and the place.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { findConfig, loadConfig } from '../../src/config/load.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tidemark-load-')))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

async function refusal(file: string): Promise<string> {
  try {
    await loadConfig(file)
  } catch (thrown) {
    assert.ok(thrown instanceof TidemarkError)
    assert.equal(thrown.code, 'CONFIG_INVALID')
    assert.ok(!thrown.message.includes('\n'), 'one line')
    return thrown.message.replaceAll(folder, '<folder>')
  }
  return assert.fail(`${file} was loaded`)
}

describe('finding the file', () => {
  test('none is found where there is none, and that is no mistake unless one was asked for', () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    assert.equal(findConfig(undefined, empty), undefined)
    assert.throws(() => findConfig('.', empty), /config: .*empty has no tidemark\.config\.ts, tidemark\.config\.js/)
    assert.throws(() => findConfig('my.ts', empty), /config: there is no file .*my\.ts/)
  })
  test('a folder has it by its name, TypeScript first; any other name is given', () => {
    const place = join(folder, 'place')
    mkdirSync(place)
    for (const name of ['tidemark.config.mjs', 'tidemark.config.js', 'tidemark.config.ts']) {
      writeFileSync(join(place, name), '')
      assert.equal(findConfig(undefined, place), join(place, name))
      assert.equal(findConfig('place', folder), join(place, name))
    }
    writeFileSync(join(place, 'mine.ts'), '')
    assert.equal(findConfig('place/mine.ts', folder), join(place, 'mine.ts'))
  })
})

describe('loading the file', () => {
  test('gives its default export, from TypeScript, JavaScript modules and CommonJS', async () => {
    const typed = write('good.ts', 'const port: number = 5\nexport default { port }')
    assert.deepEqual(await loadConfig(typed), { file: typed, value: { port: 5 } })
    assert.deepEqual((await loadConfig(write('good.mjs', 'export default { port: 6 }'))).value, { port: 6 })
    assert.deepEqual((await loadConfig(write('good.cjs', 'module.exports = { port: 7 }'))).value, { port: 7 })
  })
  test('a syntax error has its line and column, in TypeScript and in JavaScript', async () => {
    const text = '// first\nexport default {\n  port: = 2,\n}\n'
    assert.match(await refusal(write('syntax.ts', text)), /^<folder>\/syntax\.ts:3:9: SyntaxError: Expression expected/)
    assert.match(
      await refusal(write('syntax.mjs', text)),
      /^<folder>\/syntax\.mjs:3:9: SyntaxError: Unexpected token '='/,
    )
  })
  test('a syntax error in a file that it imports has its own place', async () => {
    write('part.ts', 'export const x = 1\nexport const = 2\n')
    assert.match(
      await refusal(write('whole.ts', "import './part.ts'\nexport default {}")),
      /^<folder>\/part\.ts:2:14: SyntaxError/,
    )
  })
  test('TypeScript that Node cannot run as it is has its place', async () => {
    assert.match(
      await refusal(write('enum.ts', '\nenum A { B }\nexport default { a: A.B }')),
      /^<folder>\/enum\.ts:2:1: .*enum/,
    )
  })
  test('an import of what is not there has the place of the import', async () => {
    const gone = /^<folder>\/gone\.ts:2:19: Error: Cannot find package 'no-such-package'/
    assert.match(await refusal(write('gone.ts', "\nimport { x } from 'no-such-package'\nexport default { x }")), gone)
    const lost = /^<folder>\/lost\.ts:1:8: Error: Cannot find module '<folder>\/nothing\.ts'/
    assert.match(await refusal(write('lost.ts', "import './nothing.ts'\nexport default {}")), lost)
    const name = /^<folder>\/name\.ts:1:\d+: SyntaxError: .*does not provide an export named 'nothing'/
    assert.match(await refusal(write('name.ts', "import { nothing } from 'node:fs'\nexport default { nothing }")), name)
  })
  test('what throws has the place in the file, even when it throws deep inside of something else', async () => {
    const throws = write('throws.ts', "\nexport default {}\n\nthrow new Error('no\\nway')\n")
    assert.equal(await refusal(throws), '<folder>/throws.ts:4:7: Error: no')
    const deep = write(
      'deep.ts',
      "import { readFileSync } from 'node:fs'\nexport default { x: readFileSync('/no/such/file') }",
    )
    assert.match(await refusal(deep), /^<folder>\/deep\.ts:2:\d+: Error: ENOENT/)
    assert.match(
      await refusal(write('json.ts', "export default JSON.parse('{')")),
      /^<folder>\/json\.ts:1:\d+: SyntaxError/,
    )
    write('helper.ts', "export function fail(): void {\n  throw new Error('from below')\n}")
    const caller = write('caller.ts', "import { fail } from './helper.ts'\n\nfail()\nexport default {}")
    assert.equal(await refusal(caller), '<folder>/caller.ts:3:1: Error: from below')
    assert.equal(await refusal(write('five.ts', 'throw 5')), '<folder>/five.ts: it throws 5')
  })
  test('a file without a default export, or with one that is no object, is told what it should say', async () => {
    assert.match(
      await refusal(write('none.ts', 'export const config = {}')),
      /none\.ts: got no default export, it should say/,
    )
    assert.match(await refusal(write('text.ts', "export default 'x'")), /text\.ts: got a default export of type string/)
  })
})
