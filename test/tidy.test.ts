// The style guide as a test: each rule of test/tidy/ holds for the project, and is itself tested on small bad examples that
// it must catch and good ones that it must let pass.
// Not for: what the compiler and the linter see (`npm run check`).
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { describe, test } from 'node:test'
import { errorTable } from '../src/base/errors.ts'
import { schema } from '../src/config/schema.ts'
import { commandNames } from '../src/server/commands/table.ts'
import { metricTable } from '../src/server/metrics.ts'
import { banRules } from './tidy/bans.ts'
import { compareReference, documentRules } from './tidy/documents.ts'
import { importRules } from './tidy/imports.ts'
import { nameRules } from './tidy/names.ts'
import { Project, readProject } from './tidy/project.ts'
import { functionsOf, scan } from './tidy/scan.ts'
import { sizeRules } from './tidy/size.ts'
import type { Reference } from './tidy/documents.ts'
import type { Finding } from './tidy/project.ts'

const project = readProject(resolve(import.meta.dirname, '..'))

function assertNone(findings: readonly Finding[]): void {
  const lines = findings.map(({ path, line, message }) => `${path}:${line} ${message}`)
  assert.equal(lines.length, 0, `${lines.length} findings:\n  ${lines.join('\n  ')}`)
}

for (const rule of [...importRules, ...sizeRules, ...banRules, ...nameRules, ...documentRules]) {
  describe(rule.name, () => {
    test('holds for the whole project', () => assertNone(rule.check(project)))
    for (const { title, files, message } of rule.caught) {
      test(`the rule catches ${title}`, () => {
        const findings = rule.check(new Project(files))
        assert.ok(
          findings.some(finding => message.test(finding.message)),
          `no finding like ${message} in: ${findings.map(finding => finding.message).join('; ') || 'none'}`,
        )
      })
    }
    for (const { title, files } of rule.passes) {
      test(`the rule lets ${title} pass`, () => assertNone(rule.check(new Project(files))))
    }
  })
}

describe('reference pages list what the code lists', () => {
  const references: readonly Reference[] = [
    { page: 'errors.md', names: Object.keys(errorTable) },
    { page: 'metrics.md', names: Object.keys(metricTable([])) },
    { page: 'commands.md', names: commandNames.map(name => name.toUpperCase()) },
    { page: 'settings.md', names: schema.map(setting => setting.path || `--${setting.flag}`) },
  ]
  for (const reference of references) {
    test(`docs/reference/${reference.page} and its table agree`, () => assertNone(compareReference(project, reference)))
  }
  const example = new Project({ 'docs/reference/a.md': '| name | help |\n| --- | --- |\n| `A` | |\n## `B`\n' })
  test('a name that the page lacks is caught', () => {
    const findings = compareReference(example, { page: 'a.md', names: ['A', 'B', 'C'] })
    assert.match(findings.map(finding => finding.message).join(), /^does not list `C`[^,]*$/)
  })
  test('a name that only the page has is caught', () => {
    const findings = compareReference(example, { page: 'a.md', names: ['B'] })
    assert.match(findings.map(finding => finding.message).join(), /^lists `A`, which is in no table: npm run docs$/)
  })
  test('a page that is missing is caught', () => {
    assert.equal(compareReference(example, { page: 'b.md', names: [] }).length, 1)
  })
})

describe('the scanner that the rules stand on', () => {
  test('blanks comments, strings, templates and regular expressions, and keeps positions and code in ${}', () => {
    const source = "a /* b */ = 'c' // d\ne = `f${g('h')}{` + /[/'\"]\\/`/.test(i) / 2 / j"
    assert.equal(scan(source).code, "a         = ' '     \ne = ` ${g(' ')} ` + /        /.test(i) / 2 / j")
  })
  test('finds functions, methods and arrow functions with their names', () => {
    const source =
      'function a(b = {}): C<{ d: 1 }> {\n}\nclass E {\n  async *#f<T>(g: T) {\n  }\n  get h(): number {\n return 1\n }\n}\n' +
      'const i = async (j: K): Promise<void> => {\n}\nif (l) {\n}\nfor (const m of n()) {\n}\nconst o = p => {\n}\n'
    const names = functionsOf(scan(source).code).map(found => found.name)
    assert.deepEqual(names, ['a', '#f', 'h', 'i', 'o'])
  })
})
