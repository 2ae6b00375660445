// What may not be written, each with what to write instead.
import { lineOf } from './scan.ts'
import type { Finding, Project, Rule } from './project.ts'

interface Ban {
  readonly pattern: RegExp
  readonly instead: string
}

/** Habit 6 of this project: time and randomness are passed in. They begin in src/base/clock.ts and src/base/random.ts. */
const timeAndRandomness: readonly Ban[] = [
  { pattern: /\bDate\.now\b/g, instead: 'take a Clock (base/clock.ts) and call wallMs()' },
  { pattern: /\bnew Date\(\s*\)/g, instead: 'take a Clock (base/clock.ts) and call wallMs()' },
  { pattern: /\bperformance\.(?:now|timeOrigin)\b/g, instead: 'take a Clock (base/clock.ts) and call monotonicMs()' },
  { pattern: /\bprocess\.hrtime\b/g, instead: 'take a Clock (base/clock.ts) and call monotonicMs()' },
  {
    pattern: /(?<![\w$.])(?:globalThis\.)?set(?:Timeout|Interval|Immediate)\s*\(/g,
    instead: 'call timer() of a Clock',
  },
  { pattern: /\bAbortSignal\.timeout\b/g, instead: 'call timer() of a Clock' },
  { pattern: /\bMath\.random\b/g, instead: 'take a Random (base/random.ts)' },
  { pattern: /\b(?:randomBytes|randomUUID|randomInt|getRandomValues)\b/g, instead: 'take a Random (base/random.ts)' },
]

const unseededRandomness: readonly Ban[] = [
  {
    pattern: /\b(?:Math\.random|randomBytes|randomUUID|randomInt|getRandomValues)\b/g,
    instead: 'use seededRandom of base/random.ts and print its seed on failure',
  },
]

/** fast-check begins from the time otherwise: what fails in one run would not fail in the next. */
function checkPropertySeeds(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources('test/')) {
    const { code } = project.scanned(path)
    const at = code.search(/\bfc\.(?:assert|check|sample)\(/)
    if (at < 0 || /\bseed\b/.test(code)) continue
    const message = "fast-check without a seed: fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })"
    findings.push({ path, line: lineOf(code, at), message })
  }
  return findings
}

const anyTypes: readonly Ban[] = [
  {
    pattern: /(?<=(?:[:<,|&(=]|\bas|=>)\s*)any(?![\w$:]|\s*=>)/g,
    instead: 'name the type, or take unknown and narrow it',
  },
]

const moduleState: readonly Ban[] = [
  { pattern: /^(?:export )?(?:let|var) /gm, instead: 'make it a field of what owns it' },
  {
    pattern: /^(?:export )?const [\w$]+[^=\n]* = new (?:Weak)?(?:Map|Set)(?:<.*>)?\(\)/gm,
    instead: 'make it a field of what owns it',
  },
  { pattern: /^(?:export )?const [\w$]+[^=\n]* = (?:\[\]|\{\})\s*$/gm, instead: 'make it a field of what owns it' },
  {
    pattern:
      /^(?:export )?const [\w$]+[^=\n]* = (?:Buffer\.alloc\w*|new (?:SharedArrayBuffer|\w+\d+Array|ArrayBuffer))\((?!\s*0\s*\))/gm,
    instead: 'make it a field of what owns it',
  },
]

function checkBans(project: Project, paths: readonly string[], bans: readonly Ban[]): Finding[] {
  const findings: Finding[] = []
  for (const path of paths) {
    const { code } = project.scanned(path)
    for (const { pattern, instead } of bans) {
      for (const match of code.matchAll(pattern)) {
        const line = lineOf(code, match.index)
        findings.push({ path, line, message: `${match[0].trim().replace(/\s*\($/, '')}: ${instead}` })
      }
    }
  }
  return findings
}

const suppressions = /@ts-(?:ignore|nocheck)|(?:oxlint|eslint)-disable(?!-(?:next-)?line [\w/-])/g

function checkSuppressions(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const path of project.sources()) {
    if (path.startsWith('test/tidy/')) continue
    for (const match of project.text(path).matchAll(suppressions)) {
      const line = lineOf(project.text(path), match.index)
      findings.push({ path, line, message: `${match[0]}: name one rule for one line (oxlint-disable-next-line RULE)` })
    }
  }
  return findings
}

const places: readonly Ban[] = [
  {
    pattern: /(?<![\w.~$}])\/(?:home|Users|root|work|workspace)\/[\w.-]+/g,
    instead: 'a path of one machine: use a relative path',
  },
  { pattern: /\b[A-Za-z]:\\+Users\\/g, instead: 'a path of one machine: use a relative path' },
  { pattern: /(?<=['"`])\/tmp\//g, instead: 'take a folder of os.tmpdir() by mkdtemp' },
  {
    pattern: /\b(?:registry|npm)\.[\w-]+\.(?:org|com|io|dev|net)\b|"resolved": "http/g,
    instead: 'the host of a registry: leave it to .npmrc of the user',
  },
]

function checkPlaces(project: Project): Finding[] {
  const findings: Finding[] = []
  for (const [path, text] of project.files) {
    if (path.startsWith('test/tidy/')) continue
    for (const { pattern, instead } of places) {
      for (const match of text.matchAll(pattern)) {
        findings.push({ path, line: lineOf(text, match.index), message: `${match[0]}: ${instead}` })
      }
    }
  }
  return findings
}

const outsideBase = (project: Project): string[] =>
  project.sources('src/').filter(path => !path.startsWith('src/base/'))

export const banRules: readonly Rule[] = [
  {
    name: 'time and randomness are passed in outside src/base',
    check: project => checkBans(project, outsideBase(project), timeAndRandomness),
    caught: [
      { title: 'Date.now', files: { 'src/wire/a.ts': 'const a = Date.now()' }, message: /wallMs\(\)/ },
      { title: 'new Date()', files: { 'src/wire/a.ts': 'const a = new Date()' }, message: /wallMs\(\)/ },
      { title: 'performance.now', files: { 'src/wire/a.ts': 'performance.now()' }, message: /monotonicMs\(\)/ },
      { title: 'process.hrtime', files: { 'src/wire/a.ts': 'process.hrtime.bigint()' }, message: /monotonicMs\(\)/ },
      { title: 'setTimeout', files: { 'src/wire/a.ts': 'setTimeout(f, 1)' }, message: /^setTimeout: call timer\(\)/ },
      { title: 'setInterval in a template', files: { 'src/wire/a.ts': '`${setInterval(f)}`' }, message: /timer\(\)/ },
      {
        title: 'globalThis.setImmediate',
        files: { 'src/wire/a.ts': 'globalThis.setImmediate(f)' },
        message: /timer\(\)/,
      },
      { title: 'AbortSignal.timeout', files: { 'src/wire/a.ts': 'AbortSignal.timeout(1)' }, message: /timer\(\)/ },
      { title: 'Math.random', files: { 'src/wire/a.ts': 'Math.random()' }, message: /take a Random/ },
      {
        title: 'randomUUID',
        files: { 'src/wire/a.ts': "import { randomUUID } from 'node:crypto'" },
        message: /Random/,
      },
    ],
    passes: [
      { title: 'src/base itself', files: { 'src/base/clock.ts': 'Date.now()\nsetTimeout(f, 1)' } },
      {
        title: 'a comment, a string, a date of a number',
        files: { 'src/wire/a.ts': "// Date.now()\nf('Math.random')\nnew Date(a)" },
      },
      { title: "a socket's own setTimeout", files: { 'src/wire/a.ts': 'socket.setTimeout(1)' } },
    ],
  },
  {
    name: 'randomness in tests has a seed',
    check: project => checkBans(project, project.sources('test/'), unseededRandomness),
    caught: [
      { title: 'Math.random in a test', files: { 'test/a.test.ts': 'Math.random()' }, message: /seededRandom/ },
      { title: 'randomInt in a test', files: { 'test/a.test.ts': 'randomInt(2)' }, message: /seededRandom/ },
    ],
    passes: [],
  },
  {
    name: 'properties have a seed',
    check: checkPropertySeeds,
    caught: [{ title: 'none', files: { 'test/a.test.ts': 'fc.assert(fc.property(a, b))' }, message: /without a seed/ }],
    passes: [
      {
        title: 'one for the file',
        files: { 'test/a.test.ts': 'fc.configureGlobal({ seed: 1 })\nfc.assert(fc.property(a, b))' },
      },
    ],
  },
  {
    name: 'no any in src',
    check: project => checkBans(project, project.sources('src/'), anyTypes),
    caught: [
      { title: 'a parameter', files: { 'src/base/a.ts': 'export function f(x: any): void {}' }, message: /unknown/ },
      {
        title: 'a type argument',
        files: { 'src/base/a.ts': 'export type A = Record<string, any>' },
        message: /unknown/,
      },
      { title: 'an assertion', files: { 'src/base/a.ts': 'export const a = b as any' }, message: /unknown/ },
      { title: 'an array', files: { 'src/base/a.ts': 'export const a: any[] = []' }, message: /unknown/ },
    ],
    passes: [{ title: 'the word', files: { 'src/base/a.ts': "// any\nexport const any = 'any'\nPromise.any([])" } }],
  },
  {
    name: 'no state belongs to a module of src',
    check: project => checkBans(project, project.sources('src/'), moduleState),
    caught: [
      { title: 'let', files: { 'src/base/a.ts': 'let a = 1' }, message: /field/ },
      { title: 'an empty Map', files: { 'src/base/a.ts': 'const a: Map<string, B> = new Map()' }, message: /field/ },
      { title: 'an empty Set', files: { 'src/base/a.ts': 'export const a = new Set<string>()' }, message: /field/ },
      { title: 'an empty array', files: { 'src/base/a.ts': 'const a: string[] = []' }, message: /field/ },
      { title: 'a buffer', files: { 'src/base/a.ts': 'const a = Buffer.allocUnsafe(10)' }, message: /field/ },
      { title: 'a typed array', files: { 'src/base/a.ts': 'const a = new Float64Array(1)' }, message: /field/ },
    ],
    passes: [
      {
        title: 'constants',
        files: {
          'src/base/a.ts':
            "const a = new Set(['a'])\nconst b = [1]\nconst d = Buffer.alloc(0)\nfunction f() {\n  let c = []\n}",
        },
      },
    ],
  },
  {
    name: 'the compiler and the linter are silenced for one named rule on one line only',
    check: checkSuppressions,
    caught: [
      { title: 'a whole file', files: { 'src/base/a.ts': '// @ts-nocheck' }, message: /one rule/ },
      { title: 'all rules', files: { 'src/base/a.ts': '/* oxlint-disable */' }, message: /one rule/ },
      {
        title: 'all rules of a line',
        files: { 'src/base/a.ts': '// oxlint-disable-next-line\nf()' },
        message: /one rule/,
      },
    ],
    passes: [
      { title: 'one rule', files: { 'src/base/a.ts': '// oxlint-disable-next-line no-console -- the log\nf()' } },
    ],
  },
  {
    name: 'no path of a machine and no host of a registry is in the project',
    check: checkPlaces,
    caught: [
      { title: 'a home folder', files: { 'docs/start.md': 'cd /home/me/tidemark' }, message: /relative/ },
      {
        title: 'a registry',
        files: { '.npmrc': 'registry=https://registry.npmjs.org/' },
        message: /host of a registry/,
      },
      {
        title: 'a lock with addresses',
        files: { 'package-lock.json': '"resolved": "https://example.com/a.tgz"' },
        message: /host/,
      },
      { title: 'a fixed temporary folder', files: { 'test/a.test.ts': "const a = '/tmp/b'" }, message: /mkdtemp/ },
    ],
    passes: [
      {
        title: 'relative paths and addresses',
        files: { 'README.md': 'see ./home/x, https://example.com/home/x, src/root/' },
      },
    ],
  },
]
