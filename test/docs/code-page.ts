// The code of a page: its `ts` blocks, in order, are one module, as a reader would type them into one file. What the page does not show
// but the code needs stands in a comment that begins with `<!-- code` and holds TypeScript, at its place between the blocks.
//
//   expression  // => text          what the expression gives, as util.inspect shows it; `...` is anything
//   const name = expression  // => text    likewise
//   statement  // throws CODE       it throws, or what it awaits rejects with, an error of that code or with that in its message
//
// Each stands on one line. Two texts come of a page: the one to be compiled is what readers see; in the one to be run the
// comments became calls of checks. Both have the page's line numbers.
// Not for: commands (page.ts).

export interface CodePage {
  /** As readers see it, with what is hidden. */
  readonly shown: string
  /** With its comments as checks. */
  readonly checked: string
  /** How many there are. */
  readonly checks: number
  readonly blocks: number
}

/** What checks call; it stands before the page's first line, on none of its own. */
const check = `import { gives as __gives, throws as __throws } from './checks.js'; `

export const checksFile: string = `// Made by test/docs/code-page.ts.
import assert from 'node:assert/strict'
import { inspect } from 'node:util'

const escape = text => text.replaceAll(/[\\\\^$.*+?()[\\]{}|/]/g, '\\\\$&')

export function gives(value, wanted, line) {
  const got = inspect(value, { depth: 6, breakLength: Infinity, compact: 100 })
  const pattern = new RegExp('^' + wanted.split('...').map(escape).join('[^]*') + '$')
  assert.ok(pattern.test(got), 'line ' + line + ' gives ' + got + ', and the page says ' + wanted)
  console.log('checked ' + line)
  return value
}

export async function throws(call, wanted, line) {
  let thrown
  try {
    await call()
  } catch (error) {
    thrown = error
  }
  assert.ok(thrown !== undefined, 'line ' + line + ' throws nothing, and the page says ' + wanted)
  const right = thrown.code === wanted || String(thrown.message).includes(wanted)
  assert.ok(right, 'line ' + line + ' throws ' + inspect(thrown) + ', and the page says ' + wanted)
  console.log('checked ' + line)
}
`

const given = /^(\s*)((?:(?:const|let) [^=]+ = )?)(\S.*?)\s+\/\/ => (.+)$/
const thrown = /^(\s*)(\S.*?)\s+\/\/ throws (.+)$/

export function readCode(page: string): CodePage {
  const lines = page.split('\n')
  const shown = lines.map(() => '')
  const checked = lines.map(() => '')
  let [inside, blocks, checks] = [undefined as 'block' | 'hidden' | undefined, 0, 0]
  for (const [at, line] of lines.entries()) {
    if (inside === undefined) {
      inside = line === '```ts' ? 'block' : line === '<!-- code' ? 'hidden' : undefined
      if (inside === 'block') blocks++
    } else if (line === (inside === 'block' ? '```' : '-->')) inside = undefined
    else {
      shown[at] = line
      checked[at] = withCheck(line, at + 1)
      if (checked[at] !== line) checks++
    }
  }
  return { shown: shown.join('\n'), checked: check + checked.join('\n'), checks, blocks }
}

function withCheck(line: string, number: number): string {
  const value = given.exec(line)
  if (value !== null) {
    const [, indent, declared, expression, wanted] = value
    const opening = declared === '' ? ';' : declared
    return `${indent}${opening}__gives(${expression}, ${JSON.stringify(wanted)}, ${number})`
  }
  const error = thrown.exec(line)
  if (error === null) return line
  const [, indent, expression, wanted] = error
  return `${indent};await __throws(async () => { ${expression} }, ${JSON.stringify(wanted)}, ${number})`
}
