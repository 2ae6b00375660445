// How files and tests are called, and how a file begins.
import { lineOf } from './scan.ts'
import type { Finding, Project, Rule } from './project.ts'

const nothings = /(^|[/-])(utils?|helpers?|misc|common|shared|stuff)(?=[/.-])/

function checkFileNames(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources()) {
    const name = nothings.exec(path)?.[2]
    if (name !== undefined) findings.push({ path, line: 1, message: `'${name}' says nothing: name it by what it is` })
    if (!/^[a-z\d/.-]+$/.test(path)) findings.push({ path, line: 1, message: 'is not in kebab-case' })
  }
  return findings
}

function checkOpenings(project: Project): Finding[] {
  return project
    .sources()
    .filter(path => !/^(?:#!.*\n)?(?:\/\/ |\/\*)/.test(project.text(path)))
    .map(path => ({ path, line: 1, message: 'opens without a comment that says what it is for and what not' }))
}

function checkTestNames(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources().filter(file => file.endsWith('.test.ts'))) {
    const { code, literals } = project.scanned(path)
    for (const { at, whole } of literals) {
      if (!/(?<![\w$.])(?:(?:t|context|ctx)\.)?(?:test|it)(?:\.\w+)?\(\s*$/.test(code.slice(Math.max(0, at - 60), at)))
        continue
      const words = whole.split(/\s+/).filter(word => /[\p{L}\d]/u.test(word))
      if (words.length >= 3) continue
      const message = `'${whole}' is no sentence: say what holds, in three words at least`
      findings.push({ path, line: lineOf(code, at), message })
    }
  }
  return findings
}

export const nameRules: readonly Rule[] = [
  {
    name: 'files are named in kebab-case by what they are',
    check: checkFileNames,
    caught: [
      { title: 'utils', files: { 'src/base/utils.ts': '' }, message: /says nothing/ },
      { title: 'a folder of helpers', files: { 'test/helpers/a.ts': '' }, message: /says nothing/ },
      { title: 'camel case', files: { 'src/base/fooBar.ts': '' }, message: /kebab/ },
    ],
    passes: [{ title: 'a noun', files: { 'src/base/request-parser.ts': '', 'test/tidy/names.test.ts': '' } }],
  },
  {
    name: 'a file opens with what it is for',
    check: checkOpenings,
    caught: [
      { title: 'no comment', files: { 'src/base/a.ts': "import './b.ts'\n// later" }, message: /opens without/ },
    ],
    passes: [{ title: 'a shebang and a comment', files: { 'src/cli/a.ts': '#!/usr/bin/env node\n// The program.' } }],
  },
  {
    name: 'tests are named as sentences',
    check: checkTestNames,
    caught: [
      { title: 'a number', files: { 'test/a.test.ts': "test('parser.4', () => {})" }, message: /no sentence/ },
      { title: 'one word in it()', files: { 'test/a.test.ts': 'it(\n  "works",\n  f)' }, message: /no sentence/ },
      { title: 'a subtest', files: { 'test/a.test.ts': "await t.test('case 1', f)" }, message: /no sentence/ },
    ],
    passes: [
      {
        title: 'a sentence, a template, a regular expression',
        files: {
          'test/a.test.ts': "test('a miss is null', f)\ntest(`${name} holds in ${place}`, f)\nassert(a.test('x'))",
        },
      },
    ],
  },
]
