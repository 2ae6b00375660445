// The optional package of the msgpack codec: not loaded by whoever does not use it, and asked for where it is not installed.
// Not for: what the codec keeps (codecs.test.ts).
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const program = `// Makes every codec but one, then that one.
import { createRequire } from 'node:module'
import { jsonCodec } from './src/codec/json-codec.ts'
import { msgpackCodec } from './src/codec/msgpack-codec.ts'
import { structuredCodec } from './src/codec/structured-codec.ts'
import { ValueCodec } from './src/codec/value-codec.ts'

const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter(path => path.includes('msgpackr')).length > 0
for (const codec of [jsonCodec(), structuredCodec()]) new ValueCodec({ codec }).encode('a', 1)
const before = loaded()
try {
  msgpackCodec()
  console.log(JSON.stringify({ before, after: loaded() }))
} catch (error) {
  console.log(JSON.stringify({ before, code: error.code, message: error.message, cause: error.cause.code }))
}
`

describe('the package msgpackr', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-codec-'))
    for (const layer of ['base', 'codec'])
      await cp(join(root, 'src', layer), join(folder, 'src', layer), { recursive: true })
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    await writeFile(join(folder, 'program.ts'), program)
  })
  after(() => rm(folder, { recursive: true }))

  const outcome = async (): Promise<Record<string, unknown>> => {
    const { stdout } = await run(process.execPath, ['program.ts'], {
      cwd: folder,
      env: { ...process.env, NODE_PATH: '' },
    })
    return JSON.parse(stdout) as Record<string, unknown>
  }

  test('is asked for with the command that installs it, once it is needed', async () => {
    const { message, ...rest } = await outcome()
    assert.deepStrictEqual(rest, { before: false, code: 'CODEC_INVALID', cause: 'MODULE_NOT_FOUND' })
    assert.match(
      String(message),
      /^the msgpack codec needs the package msgpackr: npm install msgpackr \(Cannot find module/,
    )
    assert.doesNotMatch(String(message), /\n/)
  })
  test('is loaded when the codec is made, and not before', async () => {
    await cp(join(root, 'node_modules/msgpackr'), join(folder, 'node_modules/msgpackr'), { recursive: true })
    assert.deepStrictEqual(await outcome(), { before: false, after: true })
  })
})
