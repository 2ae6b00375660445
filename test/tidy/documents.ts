// Documents against the tree: ARCHITECTURE.md names every folder of src, links lead somewhere, and the reference pages list
// exactly what the tables of the code list.
import { posix } from 'node:path'
import { lineOf } from './scan.ts'
import type { Finding, Project, Rule } from './project.ts'

const page = 'ARCHITECTURE.md'

function checkArchitecture(project: Project): Finding[] {
  const text = project.text(page)
  const folders = new Set(project.sources('src/').flatMap(path => /^src\/[^/]+\//.exec(path)?.[0] ?? []))
  const named = new Map<string, number>()
  for (const match of text.matchAll(/`(src\/[\w-]+\/)`/g)) named.set(match[1]!, lineOf(text, match.index))
  const findings: Finding[] = []
  for (const folder of folders) {
    if (!named.has(folder)) findings.push({ path: page, line: 1, message: `does not name \`${folder}\`` })
  }
  for (const [folder, line] of named) {
    if (!folders.has(folder)) findings.push({ path: page, line, message: `names \`${folder}\`, which is gone` })
  }
  return findings
}

/** Paths in links of Markdown, and files in backticks that spell a path of the repository. */
function checkLinks(project: Project): Finding[] {
  const findings: Finding[] = []
  const exists = (target: string): boolean =>
    target === '.' || project.files.has(target) || [...project.files.keys()].some(path => path.startsWith(`${target}/`))
  for (const [path, text] of project.files) {
    if (!path.endsWith('.md')) continue
    const prose = text.replaceAll(/^```[\s\S]*?^```/gm, block => block.replaceAll(/[^\n]/g, ' '))
    for (const match of prose.matchAll(
      /\]\(([^)#\s]+)(?:#[^)]*)?\)|`((?:src|test|docs|bench|examples|toolchain)\/[\w./-]+)`/g,
    )) {
      if (/^[a-z]+:/.test(match[1] ?? '')) continue
      const target =
        match[1] === undefined ? match[2]! : posix.normalize(posix.join(posix.dirname(path), decodeURI(match[1])))
      if (exists(target.replace(/\/$/, ''))) continue
      findings.push({ path, line: lineOf(text, match.index), message: `${target} is not there` })
    }
  }
  return findings
}

export interface Reference {
  /** The page below docs/reference/. */
  readonly page: string
  /** What the table of the code lists, as the page spells it. */
  readonly names: readonly string[]
}

/** A page's entries: the text in backticks that a heading or a row of a table begins with. */
function entriesOf(text: string): Map<string, number> {
  const entries = new Map<string, number>()
  for (const match of text.matchAll(/^(?:#{2,} |\| *)`([^`\n]+)`/gm)) entries.set(match[1]!, lineOf(text, match.index))
  return entries
}

export function compareReference(project: Project, reference: Reference): Finding[] {
  const path = `docs/reference/${reference.page}`
  if (!project.files.has(path)) return [{ path, line: 1, message: 'is not there: npm run docs' }]
  const entries = entriesOf(project.text(path))
  const names = new Set(reference.names)
  const findings: Finding[] = []
  for (const name of names) {
    if (!entries.has(name)) findings.push({ path, line: 1, message: `does not list \`${name}\`: npm run docs` })
  }
  for (const [name, line] of entries) {
    if (!names.has(name))
      findings.push({ path, line, message: `lists \`${name}\`, which is in no table: npm run docs` })
  }
  return findings
}

export const documentRules: readonly Rule[] = [
  {
    name: 'ARCHITECTURE.md names every folder of src and none that is gone',
    check: checkArchitecture,
    caught: [
      {
        title: 'a folder that is not named',
        files: { 'ARCHITECTURE.md': '| `src/base/` |', 'src/base/a.ts': '', 'src/wire/a.ts': '' },
        message: /does not name `src\/wire\/`/,
      },
      {
        title: 'a folder that is gone',
        files: { 'ARCHITECTURE.md': '| `src/base/` | `src/wire/` |', 'src/base/a.ts': '' },
        message: /names `src\/wire\/`, which is gone/,
      },
    ],
    passes: [
      { title: 'all folders', files: { 'ARCHITECTURE.md': '`src/base/`', 'src/base/a.ts': '', 'src/index.ts': '' } },
    ],
  },
  {
    name: 'documents link only to what is there',
    check: checkLinks,
    caught: [
      { title: 'a broken link', files: { 'docs/a.md': '[b](../b.md#c)' }, message: /^b\.md is not there/ },
      { title: 'a file in backticks', files: { 'README.md': 'see `src/base/a.ts`' }, message: /is not there/ },
    ],
    passes: [
      {
        title: 'links to files, folders and the web',
        files: { 'docs/a.md': '[a](a.md) [b](../src/) [c](https://example.com) `src/base/`', 'src/base/x.ts': '' },
      },
    ],
  },
]
