// toolchain/link-node.mjs on a folder of its own: after it, node_modules/.bin/node is the pinned Node, whatever was there.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')
const pinned = `node-${process.platform}-${process.arch}`

async function linked(prepare: (modules: string) => Promise<void>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-link-'))
  try {
    const modules = join(folder, 'node_modules')
    await mkdir(join(modules, pinned, 'bin'), { recursive: true })
    await writeFile(join(modules, pinned, 'bin/node'), '')
    await mkdir(join(folder, 'toolchain'))
    await cp(join(root, 'toolchain/link-node.mjs'), join(folder, 'toolchain/link-node.mjs'))
    await prepare(modules)
    execFileSync(process.execPath, ['toolchain/link-node.mjs'], { cwd: folder })
    return await readlink(join(modules, '.bin/node'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('a link that npm left out is made', async () => {
  assert.equal(await linked(async () => {}), `../${pinned}/bin/node`)
})

test('a link to another Node is replaced, and one that leads nowhere too', async () => {
  const to = (target: string) => async (modules: string) => {
    await mkdir(join(modules, '.bin'))
    await symlink(target, join(modules, '.bin/node'))
  }
  assert.equal(await linked(to(process.execPath)), `../${pinned}/bin/node`)
  assert.equal(await linked(to('../gone/bin/node')), `../${pinned}/bin/node`)
})
