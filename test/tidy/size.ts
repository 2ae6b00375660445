// How long files and functions may be. A table does not count: lines of a top-level `const` that is an array or object
// literal of data only (no function body in it).
import { afterBracket, functionsOf, lineOf } from './scan.ts'
import type { Finding, Project, Rule } from './project.ts'

const fileLinesMax = 499
const functionLinesMax = 69

const linesBetween = (text: string, start: number, end: number): number => lineOf(text, end) - lineOf(text, start) + 1

/** Lines that belong to tables. */
function tableLines(code: string): number {
  let lines = 0
  for (const match of code.matchAll(/^(?:export )?const [\w$]+(?::[^=\n]+)? = (?:\(?\s*)(?=[[{])/gm)) {
    const start = match.index + match[0].length
    const end = afterBracket(code, start)
    const table = code.slice(start, end)
    if (!/=>\s*\{|\)\s*(?::[^={}]*)?\{/.test(table)) lines += linesBetween(code, start, end)
  }
  return lines
}

function checkFiles(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources()) {
    const text = project.text(path)
    const lines = text.split('\n').length - 1 - tableLines(project.scanned(path).code)
    if (lines <= fileLinesMax) continue
    findings.push({
      path,
      line: 1,
      message: `has ${lines} lines without its tables; at most ${fileLinesMax}: split it`,
    })
  }
  return findings
}

/** The callback of describe() is a section of a test file. */
const sections = new Set(['describe', 'suite'])

function checkFunctions(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources()) {
    const { code } = project.scanned(path)
    for (const { name, start, end } of functionsOf(code)) {
      const lines = linesBetween(code, start, end)
      if (lines <= functionLinesMax || sections.has(name)) continue
      const message = `${name} has ${lines} lines; at most ${functionLinesMax}: split it`
      findings.push({ path, line: lineOf(code, start), message })
    }
  }
  return findings
}

const many = (line: string, times: number): string => `${line}\n`.repeat(times)

export const sizeRules: readonly Rule[] = [
  {
    name: 'a file has fewer than 500 lines without its tables',
    check: checkFiles,
    caught: [
      { title: 'a file of 500 lines', files: { 'src/base/a.ts': many('f()', 500) }, message: /has 500 lines/ },
      {
        title: 'an object full of functions, which is no table',
        files: { 'src/base/a.ts': `const a = {\n${many('  f() {\n  },', 300)}}\n` },
        message: /has 602 lines/,
      },
    ],
    passes: [
      { title: 'a file of 499 lines', files: { 'src/base/a.ts': many('f()', 499) } },
      { title: 'a long table', files: { 'src/base/a.ts': `export const a: T = [\n${many("  { x: '' },", 900)}]\n` } },
    ],
  },
  {
    name: 'a function has fewer than 70 lines',
    check: checkFunctions,
    caught: [
      {
        title: 'a method with a return type that holds braces',
        files: {
          'src/base/a.ts': `class A {\n  #m(x: { y: string }): Map<string, { z: 1 }> {\n${many('    f()', 68)}  }\n}\n`,
        },
        message: /^#m has 70 lines/,
      },
      {
        title: 'an arrow function with one parameter',
        files: { 'src/base/a.ts': `const f = x => {\n${many('  g(`${x}}`)', 80)}}\n` },
        message: /^f has 82 lines/,
      },
      {
        title: 'an async arrow function given to a test',
        files: { 'test/a.test.ts': `test('it works', async t => {\n${many('  f()', 80)}})\n` },
        message: /^test has 82 lines/,
      },
      {
        title: 'a function with a generic parameter',
        files: { 'src/base/a.ts': `export function f<T extends A>(\n  x: T,\n): x is B {\n${many("  g('}')", 80)}}\n` },
        message: /^f has 84 lines/,
      },
    ],
    passes: [
      { title: 'a function of 69 lines', files: { 'src/base/a.ts': `function f() {\n${many('  g()', 67)}}\n` } },
      { title: 'a long class', files: { 'src/base/a.ts': `class A {\n${many('  f(): void {\n  }', 100)}}\n` } },
      { title: 'a long describe', files: { 'test/a.test.ts': `describe('a', () => {\n${many('f()', 100)}})\n` } },
      {
        title: 'a long if',
        files: { 'src/base/a.ts': `if (a) {\n${many('f()', 100)}}\nwhile (g(a)) {\n${many('f()', 100)}}\n` },
      },
    ],
  },
]
