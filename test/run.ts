// What `npm test` runs: every test/**/*.test.ts in a process of its own, two at a time, read as they end. Words given
// after it choose files whose path holds one of them: `npm test -- wire store/expiry`.
// Ends with counts in the form that tools read (`# tests N`, `# pass N`, `# fail N`), and says which tests were skipped
// and why (a server that is not installed). With TIDEMARK_NO_SKIP=1 a skipped test fails the run: no machine that is
// meant to run everything passes by running less.
// Not for: long runs, which have scripts of their own (test:sim, test:chaos, fuzz), and benchmarks.
import { globSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const root = resolve(import.meta.dirname, '..')
const testTimeoutMs = 300_000

interface Skipped {
  readonly file: string
  readonly name: string
  readonly reason: string
}

function choose(words: readonly string[]): string[] {
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort()
  const wanted = words.map(word => word.replace(/^\.\//, ''))
  const chosen = all.filter(file => wanted.length === 0 || wanted.some(word => file.includes(word)))
  return chosen.map(file => resolve(root, file))
}

function listSkipped(skipped: readonly Skipped[]): void {
  console.log(`\n!!!! SKIPPED: ${skipped.length} of the tests did not run on this machine`)
  for (const { file, name, reason } of skipped) console.log(`!!!!   ${file}: ${name} (${reason})`)
}

const words = process.argv.slice(2)
const files = choose(words)
if (files.length === 0) {
  console.error(`No test file matches ${words.join(' or ') || 'test/**/*.test.ts'}.`)
  process.exit(1)
}

const skipped: Skipped[] = []
const counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 }
let succeeded = false
const stream = run({
  files,
  concurrency: 2,
  cwd: root,
  execArgv: ['--conditions=tidemark-source'],
  timeout: testTimeoutMs,
})
stream.on('test:pass', ({ name, file, skip }) => {
  if (skip === undefined || skip === false) return
  const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given'
  skipped.push({ file: file === undefined ? '?' : relative(root, file), name, reason })
})
stream.on('test:summary', summary => {
  if (summary.file !== undefined) return
  succeeded = summary.success
  counts.tests = summary.counts.tests
  counts.pass = summary.counts.passed
  counts.skipped = summary.counts.skipped
  counts.cancelled = summary.counts.cancelled
  counts.todo = summary.counts.todo
  counts.fail = counts.tests - counts.pass - counts.skipped - counts.cancelled - counts.todo
})

const output = stream.compose(new spec())
for await (const text of output) process.stdout.write(String(text))

const skipsFail = process.env['TIDEMARK_NO_SKIP'] === '1' && skipped.length > 0
if (skipped.length > 0) listSkipped(skipped)
if (skipsFail) console.log('!!!! TIDEMARK_NO_SKIP=1: a skipped test is a failure here')
const missing = files.length > 0 && counts.tests === 0
if (missing) console.log('!!!! no test ran')
console.log(
  [
    '',
    `# files ${files.length}`,
    `# tests ${counts.tests}`,
    `# pass ${counts.pass}`,
    `# fail ${counts.fail + (skipsFail ? skipped.length : 0)}`,
    `# cancelled ${counts.cancelled}`,
    `# skipped ${counts.skipped}`,
    `# todo ${counts.todo}`,
  ].join('\n'),
)
process.exitCode = succeeded && !skipsFail && !missing ? 0 : 1
