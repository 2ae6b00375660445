// Runs after `npm ci` (the root's `prepare`), on whatever Node the machine has: sees to it that node_modules/.bin/node is the
// pinned one. npm 11 links it by itself. npm 10, which comes with Node 20 and 22, links it and then removes it again together with
// the platform packages that do not fit, since those name the same program.
// Plain JavaScript, because a Node that is too old for TypeScript has to run it.
import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const modules = fileURLToPath(new URL('../node_modules', import.meta.url))
const platform = `${process.platform}-${process.arch}`
const name = [`node-${platform}`, `node-bin-${platform}`].find(each => existsSync(join(modules, each, 'bin/node')))
const link = join(modules, '.bin/node')

if (name === undefined) {
  // Windows has other names and no links; npm's own shims are left as they are.
  if (process.platform !== 'win32')
    console.warn(`There is no pinned Node for ${platform}: scripts run on the machine's.`)
} else if (!existsSync(link) || realpathSync(link) !== realpathSync(join(modules, name, 'bin/node'))) {
  mkdirSync(join(modules, '.bin'), { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(join('..', name, 'bin/node'), link)
}
