// The files of recordings/: requests, what redis-server replied to them, byte by byte, and what Tidemark replies where that
// is not the same. This reads and writes the text; playing it is in player.ts, recording in record.ts.
//
//   # Redis 7.0.15                 the server that was recorded
//   # any comment
//   commands: get set              the commands that this file is the script of
//
//   == what the section shows      starts anew: empty memory, new connections
//   @ debug                        with servers of that kind (see servers.ts); else `plain`
//   > SET a "two words"            a request on the first connection; arguments are words, or quoted with escapes
//   = +OK\r\n                      its reply, in RESP2 and in RESP3
//   > HGETALL h
//   2 *2\r\n$1\r\nf\r\n$1\r\nv\r\n     where they differ: in RESP2,
//   3 %1\r\n$1\r\nf\r\n$1\r\nv\r\n     and in RESP3
//   b> CLIENT ID                   on another connection, which has a name
//   ~ ^:(?<id>\d+)\r\n$            a reply that is never the same: a pattern that it matches. What a named group caught
//   > CLIENT KILL ID ${id}         is filled in later, in requests and in replies
//   = :1\r\n
//   b< closed                      the next message of a connection that has asked for nothing, or its end
//   > KEYS *
//   ? in any order                 the elements of all arrays and sets of the reply are sorted first
//   = *2\r\n$1\r\na\r\n$1\r\nb\r\n
//   >+ EXISTS k                    sent again until this is the reply: for what happens a moment later
//   = :0\r\n
//   b>> CLIENT REPLY OFF           a request without a reply, or whose reply is read with `b<`
//   b|                             the connection is closed by the client
//   > OBJECT REFCOUNT n
//   = :2147483647\r\n
//   ! OBJECT REFCOUNT              Tidemark differs: the row of docs/guides/differences-from-redis.md that says how,
//   != :1\r\n                      and its reply (!2, !3 and !~ as above)
//
// A long reply goes on in lines that begin with two blanks. Escapes: \r \n \t \\ \" \xNN, and \{x*100} for 100 times x.
import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

export type Resp = 2 | 3

/** What comes back, as the file says it: bytes as latin1 text, or a pattern. */
export interface Expected {
  readonly text: string
  readonly isPattern: boolean
}

export type Expectations = Partial<Record<Resp, Expected>>

export interface Step {
  readonly line: number
  readonly connection: string
  readonly kind: 'ask' | 'ask-until' | 'send' | 'read' | 'close'
  readonly request: readonly string[]
  inAnyOrder: boolean
  redis: Expectations
  /** Where Tidemark differs: the row of the table, and what it replies. */
  difference?: { readonly row: string; readonly ours: Expectations }
}

export interface Section {
  readonly file: string
  readonly title: string
  servers: string
  readonly steps: Step[]
}

export interface Recording {
  readonly name: string
  readonly redisVersion: string
  readonly commands: readonly string[]
  readonly sections: readonly Section[]
  /** The lines that are not replies of Redis, with the steps among them: what the recorder writes back. */
  readonly parts: (string | Step)[]
}

const LINE_MAX = 118
const folder = join(import.meta.dirname, 'recordings')

export function escape(text: string): string {
  return text.replace(/([^])\1{39,}|[^]/g, (run, one?: string) =>
    one === undefined ? escapeByte(run) : `\\{${escapeByte(one)}*${run.length}}`,
  )
}

function escapeByte(byte: string): string {
  const letter = letters[byte]
  if (letter !== undefined) return `\\${letter}`
  return byte >= ' ' && byte <= '~' ? byte : `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`
}

const letters: Readonly<Record<string, string>> = { '\r': 'r', '\n': 'n', '\t': 't', '\\': '\\' }
const named: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '\\': '\\', '"': '"' }

export function unescape(text: string): string {
  return text.replace(
    /\\(?:\{(\\x..|\\.|[^\\])\*(\d+)\}|x([0-9a-f]{2})|(.))/g,
    (whole, one?: string, times?: string, hex?: string, letter?: string) => {
      if (one !== undefined) return unescape(one).repeat(Number(times))
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
      const byte = named[letter!]
      if (byte === undefined) throw new Error(`unknown escape ${whole}`)
      return byte
    },
  )
}

export function printWords(words: readonly string[]): string {
  const plain = /^[!#-[\]-~]+$/
  return words.map(word => (plain.test(word) && !/(.)\1{39}/.test(word) ? word : quoted(word))).join(' ')
}

function quoted(word: string): string {
  return `"${escape(word).replaceAll('"', '\\"')}"`
}

export function parseWords(text: string): string[] {
  const words: string[] = []
  const rest = text.replace(/(?:^| )(?:"((?:[^"\\]|\\.)*)"|([^" ]+))/g, (_, quoted?: string, plain?: string) => {
    words.push(quoted === undefined ? plain! : unescape(quoted))
    return ''
  })
  if (rest !== '') throw new Error(`cannot be read as arguments: ${text}`)
  return words
}

const STEP = /^([a-z]*)(>\+|>>|>|<|\|)(?: (.*))?$/
const REPLY = /^(!?)([=23~])(~?) (.*)$/
const kinds = { '>': 'ask', '>+': 'ask-until', '>>': 'send', '<': 'read', '|': 'close' } as const

class Reader {
  readonly #name: string
  readonly #sections: Section[] = []
  readonly #parts: (string | Step)[] = []
  #commands: readonly string[] = []
  #version = ''
  #step: Step | undefined

  constructor(name: string) {
    this.#name = name
  }

  read(text: string): Recording {
    const lines = text.replace(/\n$/, '').split('\n')
    for (let i = 0; i < lines.length; i++) {
      let line = lines[i]!
      const at = i + 1
      while (lines[i + 1]?.startsWith('  ') === true) line += lines[++i]!.slice(2)
      try {
        this.#line(line, at)
      } catch (error) {
        throw new Error(`${this.#name}.txt:${at} ${(error as Error).message}`, { cause: error })
      }
    }
    if (this.#version === '') throw new Error(`${this.#name}.txt does not say the version of Redis`)
    return {
      name: this.#name,
      redisVersion: this.#version,
      commands: this.#commands,
      sections: this.#sections,
      parts: this.#parts,
    }
  }

  #line(line: string, at: number): void {
    const version = /^# Redis (\d+\.\d+\.\d+)$/.exec(line)
    if (version !== null) this.#version = version[1]!
    if (line.startsWith('#') || line === '') return void this.#parts.push(line)
    if (line.startsWith('commands: ')) {
      this.#commands = line.slice('commands: '.length).split(' ')
      return void this.#parts.push(line)
    }
    if (line.startsWith('== ')) {
      this.#sections.push({ file: this.#name, title: line.slice(3), servers: 'plain', steps: [] })
      return void this.#parts.push(line)
    }
    const section = this.#sections.at(-1)
    if (section === undefined) throw new Error('a line before the first section')
    if (line.startsWith('@ ')) {
      section.servers = line.slice(2)
      return void this.#parts.push(line)
    }
    const reply = REPLY.exec(line)
    if (reply !== null) return this.#reply(reply)
    if (line === '? in any order') return void (this.#current.inAnyOrder = true)
    if (line.startsWith('! ')) return void (this.#current.difference = { row: line.slice(2), ours: {} })
    this.#begin(line, at, section)
  }

  get #current(): Step {
    if (this.#step === undefined) throw new Error('a reply without a request')
    return this.#step
  }

  #reply([, ours, tag, tilde, text]: RegExpExecArray): void {
    const isPattern = tag === '~' || tilde === '~'
    const expected = { text: isPattern ? text! : unescape(text!), isPattern }
    const step = this.#current
    const to = ours === '' ? step.redis : step.difference?.ours
    if (to === undefined) throw new Error('what Tidemark replies comes after "! " and the name of a difference')
    if (tag !== '3') to[2] = expected
    if (tag !== '2') to[3] = expected
  }

  #begin(line: string, at: number, section: Section): void {
    const match = STEP.exec(line)
    if (match === null) throw new Error(`cannot be read: ${line}`)
    const [, connection, sign, text] = match
    const kind = kinds[sign as keyof typeof kinds]
    const step: Step = { line: at, connection: connection!, kind, request: [], inAnyOrder: false, redis: {} }
    this.#step = step
    section.steps.push(step)
    this.#parts.push(step)
    if (kind === 'read' && text === 'closed') {
      step.redis = { 2: { text: 'closed', isPattern: false }, 3: { text: 'closed', isPattern: false } }
    } else if (text !== undefined) Object.assign(step, { request: parseWords(text) })
  }
}

/** Breaks a long reply after ends of lines of the protocol. */
function wrapped(begin: string, text: string): string {
  const lines = [begin]
  for (const piece of text.split(/(?<=\r\n)/).map(escape)) {
    const last = lines.at(-1)!
    if (last !== begin && last.length + piece.length > LINE_MAX) lines.push(`  ${piece}`)
    else lines[lines.length - 1] = last + piece
  }
  return lines.join('\n')
}

function printExpectations(prefix: string, { 2: two, 3: three }: Expectations): string[] {
  const one = (tag: string, { text, isPattern }: Expected): string => {
    if (isPattern) return `${prefix}${tag === '=' ? '~' : `${tag}~`} ${text}`
    const line = `${prefix}${tag} ${escape(text)}`
    if (line.length <= LINE_MAX) return line
    return wrapped(`${prefix}${tag} `, text)
  }
  const same = two?.text === three?.text && two?.isPattern === three?.isPattern
  if (same) return two === undefined ? [] : [one('=', two)]
  return [...(two === undefined ? [] : [one('2', two)]), ...(three === undefined ? [] : [one('3', three)])]
}

function printStep({ connection, kind, request, inAnyOrder, redis, difference }: Step): string {
  const sign = Object.entries(kinds).find(([, each]) => each === kind)![0]
  if (kind === 'read' && redis[2]?.text === 'closed') return `${connection}< closed`
  const lines = [`${connection}${sign}${request.length > 0 ? ` ${printWords(request)}` : ''}`]
  if (inAnyOrder) lines.push('? in any order')
  lines.push(...printExpectations('', redis))
  if (difference !== undefined) lines.push(`! ${difference.row}`, ...printExpectations('!', difference.ours))
  return lines.join('\n')
}

export function parseRecording(name: string, text: string): Recording {
  return new Reader(name).read(text)
}

export function printRecording({ parts }: Recording, redisVersion: string): string {
  const text = parts.map(part => (typeof part === 'string' ? part : printStep(part))).join('\n')
  return `${text.replace(/^# Redis .*$/m, `# Redis ${redisVersion}`)}\n`
}

export function fileOf(name: string): string {
  return join(folder, `${name}.txt`)
}

/** All recordings, in the order of their names. */
export function readRecordings(): Recording[] {
  const names = readdirSync(folder).map(file => basename(file, '.txt'))
  return names.toSorted().map(name => parseRecording(name, readFileSync(fileOf(name), 'utf8')))
}
