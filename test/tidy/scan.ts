// A scanner of TypeScript that knows just enough for the rules beside it: where comments, strings, templates and regular
// expressions are, and which braces are the bodies of functions. It works on text as Prettier leaves it.
// Not for: anything that needs types; the linter has those. (The compiler's own syntax tree is not used: TypeScript 7
// offers it as an unstable API of a process of its own.)

export interface Literal {
  readonly at: number
  /** The text between the quotes; of a template what stands before its first `${`. */
  readonly text: string
  /** All text between the quotes. */
  readonly whole: string
  /** A template with at least one `${`. */
  readonly open: boolean
}

export interface Scanned {
  /** The source with comments, literals' contents and regular expressions blanked; all positions stay as they are. */
  readonly code: string
  readonly literals: readonly Literal[]
}

const wordsBeforeRegex = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|yield|await)$/
const blanked = (text: string): string => text.replaceAll(/[^\n]/g, ' ')

class Scanner {
  readonly #source: string
  readonly #literals: Literal[] = []
  #at = 0
  #code = ''

  constructor(source: string) {
    this.#source = source
  }

  scan(): Scanned {
    this.#until('')
    return { code: this.#code, literals: this.#literals }
  }

  #blankTo(end: number): void {
    this.#code += blanked(this.#source.slice(this.#at, end))
    this.#at = end
  }

  #copy(): void {
    this.#code += this.#source[this.#at++]!
  }

  /** Scans code up to the brace that closes the current one ('}'), or to the end of the source (''). */
  #until(closing: '' | '}'): void {
    let depth = 0
    while (this.#at < this.#source.length) {
      const c = this.#source[this.#at]!
      const next = this.#source[this.#at + 1]
      if (c === '/' && next === '/') this.#blankTo(this.#find('\n', 0))
      else if (c === '/' && next === '*') this.#blankTo(this.#find('*/', 2))
      else if (c === "'" || c === '"') this.#string(c)
      else if (c === '`') this.#template()
      else if (c === '/' && this.#regexMayStart()) this.#regex()
      else {
        if (c === '{') depth++
        if (c === '}' && closing === '}' && depth-- === 0) return
        this.#copy()
      }
    }
  }

  #find(text: string, extra: number): number {
    const at = this.#source.indexOf(text, this.#at + extra)
    return at < 0 ? this.#source.length : at + extra
  }

  #string(quote: string): void {
    let end = this.#at + 1
    while (end < this.#source.length && this.#source[end] !== quote) end += this.#source[end] === '\\' ? 2 : 1
    const text = this.#source.slice(this.#at + 1, end)
    this.#literals.push({ at: this.#at, text, whole: text, open: false })
    this.#copy()
    this.#blankTo(end)
    if (this.#at < this.#source.length) this.#copy()
  }

  #template(): void {
    const literal = { at: this.#at, text: '', whole: '', open: false }
    this.#literals.push(literal)
    this.#copy()
    const start = this.#at
    while (this.#at < this.#source.length && this.#source[this.#at] !== '`') {
      if (this.#source[this.#at] === '\\') this.#blankTo(this.#at + 2)
      else if (this.#source.startsWith('${', this.#at)) {
        if (!literal.open) literal.text = this.#source.slice(start, this.#at)
        literal.open = true
        this.#copy()
        this.#copy()
        this.#until('}')
        this.#copy()
      } else this.#blankTo(this.#at + 1)
    }
    literal.whole = this.#source.slice(start, this.#at)
    if (!literal.open) literal.text = literal.whole
    if (this.#at < this.#source.length) this.#copy()
  }

  #regexMayStart(): boolean {
    const before = this.#code.trimEnd()
    return before === '' || /[^\w$)\]}'"`]$/.test(before) || wordsBeforeRegex.test(before.slice(-12))
  }

  #regex(): void {
    let end = this.#at + 1
    for (let inClass = false; end < this.#source.length && (inClass || this.#source[end] !== '/'); end++) {
      const c = this.#source[end]
      if (c === '\\') end++
      else if (c === '[') inClass = true
      else if (c === ']') inClass = false
    }
    this.#copy()
    this.#blankTo(end)
    this.#copy()
  }
}

export function scan(source: string): Scanned {
  return new Scanner(source).scan()
}

export function lineOf(source: string, at: number): number {
  let line = 1
  for (let i = source.indexOf('\n'); i >= 0 && i < at; i = source.indexOf('\n', i + 1)) line++
  return line
}

/** The position after the bracket that closes the one at `at`, in scanned code. */
export function afterBracket(code: string, at: number): number {
  let depth = 0
  for (let i = at; i < code.length; i++) {
    if ('([{'.includes(code[i]!)) depth++
    else if (')]}'.includes(code[i]!) && --depth === 0) return i + 1
  }
  return code.length
}

export interface FunctionSpan {
  readonly name: string
  readonly start: number
  readonly end: number
}

const notFunctions = new Set(['if', 'for', 'while', 'switch', 'catch', 'with', 'await'])

interface Body {
  /** The position of its `{`. */
  readonly at: number
  readonly arrow: boolean
}

/** The body that follows a parameter list's `)`, past a return type, which may hold braces of its own. */
function bodyAfter(code: string, at: number): Body | undefined {
  let typeMayStart = false
  let inReturnType = false
  let angles = 0
  for (let i = at; i < code.length;) {
    const c = code[i]!
    if (/\s/.test(c)) {
      i++
      continue
    }
    if (c === '{' && !typeMayStart) return { at: i, arrow: false }
    if (code.startsWith('=>', i)) {
      const brace = /^=>\s*\{/.exec(code.slice(i, i + 80))
      if (brace !== null && angles === 0) return { at: i + brace[0].length - 1, arrow: true }
      i += 2
      typeMayStart = true
      continue
    }
    if (!inReturnType && c !== ':') return undefined
    if (';)]}='.includes(c) || (c === ',' && angles === 0)) return undefined
    inReturnType = true
    if (c === '<') angles++
    if (c === '>') angles--
    const word = /^[\w$.]+/.exec(code.slice(i, i + 64))?.[0]
    i = '([{'.includes(c) ? afterBracket(code, i) : i + (word?.length ?? 1)
    typeMayStart = word === undefined ? '|&<,:'.includes(c) : /^(?:is|extends|keyof|readonly)$/.test(word)
  }
  return undefined
}

/** Functions, methods and arrow functions that have a block as body; `start` is where their parameters begin. */
export function functionsOf(code: string): FunctionSpan[] {
  const found: FunctionSpan[] = []
  for (const { index } of code.matchAll(/\(/g)) {
    const before = /(?:([#\w$]+)\s*(?:<[^(){};]*>)?)?$/.exec(code.slice(Math.max(0, index - 120), index))?.[1] ?? ''
    if (notFunctions.has(before)) continue
    const body = bodyAfter(code, afterBracket(code, index))
    if (body === undefined || (!body.arrow && before === '')) continue
    const name = body.arrow ? nameBefore(code, index) : before
    found.push({ name, start: index, end: afterBracket(code, body.at) })
  }
  for (const match of code.matchAll(/([\w$]+)\s*=>\s*\{/g)) {
    const end = afterBracket(code, match.index + match[0].length - 1)
    if (!/:\s*$/.test(code.slice(0, match.index)))
      found.push({ name: nameBefore(code, match.index), start: match.index, end })
  }
  return found
}

/** What an arrow function at `at` is assigned to or given to: the name before `=`, `:` or `(`. */
function nameBefore(code: string, at: number): string {
  const before = code.slice(Math.max(0, at - 400), at).replace(/\basync\s*$/, '')
  const match =
    /([#\w$]+)\s*(?::[^=\n{}]*)?=\s*$|([#\w$.]+)\s*\(\s*(?:['"`]\s*['"`]\s*,\s*)?(?:\{[^{}]*\}\s*,\s*)?$/.exec(before)
  return match?.[1] ?? match?.[2] ?? 'arrow function'
}
