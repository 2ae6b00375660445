// How a page's code becomes a module, and that a page which says what is not so is found: each lie below is one that a page could tell.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { UserProject, type Run } from '../support/user-project.ts'
import { checksFile, readCode } from './code-page.ts'

const page = (code: string): string => `# A page\n\n\`\`\`ts\n${code}\n\`\`\`\n`

async function run(t: TestContext, text: string): Promise<Run & { readonly checks: number }> {
  const project = new UserProject()
  t.after(() => project.close())
  const { checked, checks } = readCode(text)
  project.write('checks.js', checksFile)
  project.write('page.ts', checked)
  return { ...(await project.run('page.ts')), checks }
}

const truths: readonly (readonly [what: string, code: string])[] = [
  ['a value', '1 + 1 // => 2'],
  ['a value that is awaited', "await Promise.resolve('a') // => 'a'"],
  ['a value with a name', 'const { a } = { a: [1, { b: 2 }] } // => { a: [ 1, { b: 2 } ] }'],
  ['a part of a value', '({ a: 1, b: Math.random() }) // => { a: 1, b: 0... }'],
  ['an error by its message', "await Promise.reject(new Error('no such thing')) // throws such"],
  ['an error by its code', "await Promise.reject(Object.assign(new Error('no'), { code: 'GONE' })) // throws GONE"],
  ['an error of a statement', "if (page) throw new Error('no') // throws no"],
]
for (const [what, code] of truths) {
  test(`${what} that is as the page says passes`, async t => {
    const { status, output, checks } = await run(t, page(`const page = true\n${code}`))
    assert.equal(status, 0, output)
    assert.equal(checks, 1)
    assert.equal(output, 'checked 5\n')
  })
}

const lies: readonly (readonly [what: string, code: string, message: RegExp])[] = [
  ['another value', '1 + 1 // => 3', /line 4 gives 2, and the page says 3/],
  ['only the beginning of a value', "'abc' // => 'ab", /line 4 gives 'abc'/],
  ['another value with a name', 'const a = [1] // => [ 2 ]', /line 4 gives \[ 1 \]/],
  ['an error that does not come', 'await Promise.resolve(1) // throws GONE', /line 4 throws nothing/],
  ['another error', "await Promise.reject(new Error('here')) // throws GONE", /line 4 throws Error: here/],
  ['a value where there is an error', "await Promise.reject(new Error('here')) // => 1", /Error: here/],
]
for (const [what, code, message] of lies) {
  test(`a page that promises ${what} fails`, async t => {
    const { status, output } = await run(t, page(code))
    assert.notEqual(status, 0)
    assert.match(output, message)
  })
}

test('what is hidden is code, other languages and prose are none, and lines keep their numbers', () => {
  const text =
    '<!-- code\nconst hidden = 1\n-->\n\n```sh\nls // => 1\n```\n\n```ts\nhidden // => 1\n```\n\n```console\nx // => 2\n```\n'
  const { shown, checked, checks, blocks } = readCode(text)
  assert.deepEqual([checks, blocks], [1, 1])
  assert.equal(shown.split('\n')[1], 'const hidden = 1')
  assert.equal(shown.split('\n')[9], 'hidden // => 1')
  assert.match(checked.split('\n')[9]!, /^;__gives\(hidden, "1", 10\)$/)
  assert.equal(shown.split('\n').filter(line => line !== '').length, 2)
})
