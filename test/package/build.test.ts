// What `npm run build` refuses, each on a small project of its own, and what it makes of one that is right.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')

const right: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({
    name: 'small',
    type: 'module',
    bin: { small: 'dist/cli/main.js' },
    exports: { '.': { 'tidemark-source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' } },
  }),
  'src/index.ts': "export { one } from './base/one.ts'\n// import { no } from 'fast-check'\n",
  'src/base/one.ts': "import { join } from 'node:path'\n\nexport const one: string = join('a', 'b')\n",
  'src/base/page.html': '<p>',
  'src/cli/main.ts': "#!/usr/bin/env node\nawait import('../base/one.ts')\n",
}

/** Builds the right project with `changes` over it. */
async function build(
  changes: Readonly<Record<string, string>>,
  look: (folder: string, status: number | null, output: string) => Promise<void> | void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-build-'))
  try {
    for (const [path, text] of Object.entries({ ...right, ...changes })) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
    for (const path of ['tsconfig.json', 'tsconfig.build.json', 'toolchain/build.ts', 'toolchain/join.ts']) {
      await cp(join(root, path), join(folder, path))
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    const result = spawnSync(process.execPath, ['toolchain/build.ts'], { cwd: folder, encoding: 'utf8' })
    await look(folder, result.status, result.stdout + result.stderr)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('a build has JavaScript, declarations and assets, and a program that can be run', () =>
  build({}, async (folder, status, output) => {
    assert.equal(status, 0, output)
    assert.equal(
      await readFile(join(folder, 'dist/index.js'), 'utf8'),
      "import { $index } from './joined.js';\nexport const { one } = $index;\n",
    )
    assert.match(await readFile(join(folder, 'dist/base/one.d.ts'), 'utf8'), /one: string/)
    assert.equal(await readFile(join(folder, 'dist/base/page.html'), 'utf8'), '<p>')
    assert.equal((await stat(join(folder, 'dist/cli/main.js'))).mode & 0o111, 0o111)
  }))

test('joined modules are what they are apart, for whoever imports them from wherever', () =>
  build(
    {
      'src/index.ts': `export { Two as Second } from './base/two.ts'
export { one, later } from './base/one.ts'
`,
      'src/base/one.ts': `import * as path from 'node:path'
import { Two } from './two.ts'

export const one: string = path.join('a', new Two().name)
export async function later(): Promise<boolean> {
  return new (await import('../other.ts')).Three() instanceof Two
}
`,
      'src/base/two.ts': `export class Two {
  readonly name: string = new URL('./two.js', import.meta.url).pathname.split('/').slice(-2).join('/')
}
`,
      'src/other.ts': "import { Two } from './base/two.ts'\n\nexport class Three extends Two {}\n",
    },
    (folder, status, output) => {
      assert.equal(status, 0, output)
      const code = `import { Second, one, later } from './dist/index.js'
import { Two } from './dist/base/two.js'
console.log(one, await later(), Two === Second, Two.name)`
      const args = ['--input-type=module', '-e', code]
      const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
      assert.equal(stdout, 'a/base/two.js true true Two\n', stderr)
    },
  ))

const mistakes: readonly (readonly [title: string, changes: Readonly<Record<string, string>>, message: RegExp])[] = [
  ['a type error', { 'src/base/one.ts': "export const one: number = ''\n" }, /TS2322/],
  [
    'a development dependency',
    { 'src/base/one.ts': "export { pre as one } from 'fast-check'\n" },
    /'fast-check' .*users/,
  ],
  [
    'a builtin without node:',
    { 'src/base/one.ts': "export { join as one } from 'path'\n" },
    /'path' names a module of Node/,
  ],
  [
    'a worker that is named as a TypeScript file',
    {
      'src/base/one.ts': "export const one: URL = new URL('./two.ts', import.meta.url)\n",
      'src/base/two.ts': 'export {}\n',
    },
    /'\.\/two\.ts' imports a TypeScript source/,
  ],
  [
    'a file that is not there',
    { 'src/base/one.ts': "export const one: URL = new URL('./two.js', import.meta.url)\n" },
    /'\.\/two\.js' imports a file that is not in dist/,
  ],
  ['a program without its shebang', { 'src/cli/main.ts': 'export {}\n' }, /not its shebang/],
  [
    'an entry that is not there',
    { 'package.json': right['package.json']!.replace('./dist/index.d.ts', './dist/gone.d.ts') },
    /files that are not there: \.\/dist\/gone\.d\.ts/,
  ],
]
for (const [title, changes, message] of mistakes) {
  test(`a build with ${title} fails and says so`, () =>
    build(changes, (_, status, output) => {
      assert.equal(status, 1, output)
      assert.match(output, message)
    }))
}
