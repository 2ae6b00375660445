// Installs the packages that benchmarks compare with, once: the types of bench/ need them, and so do its tests.
// They are in a folder of their own, so that nobody else gets them.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

const bench = resolve(import.meta.dirname, '..', 'bench')

if (!existsSync(resolve(bench, 'node_modules'))) {
  const { status } = spawnSync('npm', ['--prefix', bench, 'ci', '--silent'], { stdio: 'inherit', shell: true })
  process.exitCode = status ?? 1
}
