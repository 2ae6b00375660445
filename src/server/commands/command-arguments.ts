// The arguments of a command as COMMAND DOCS tells them, read from the line that the reference page shows (`syntax`), so
// that there is one truth: what redis-cli and other tools hint at while one types.
//
//   key          a word: a key, a number, a pattern or a string, by its name
//   EX seconds   a word in capitals: a token, with what follows it
//   [a]          may be left out          <a | b>   one of them, as in [a | b]
//   a [a ...]    once or more             [a ...]   any number
//   a b [a b ...]                         several words that come again together
//
// Not for: how arguments are parsed, which every command does itself.
export interface Argument {
  readonly name: string
  readonly type: 'string' | 'integer' | 'double' | 'key' | 'pattern' | 'unix-time' | 'pure-token' | 'oneof' | 'block'
  readonly token?: string
  readonly flags: readonly ('optional' | 'multiple')[]
  readonly arguments: readonly Argument[]
}

const types: ReadonlyMap<string, Argument['type']> = new Map(
  (
    [
      ['key', 'key key1 key2 newkey source destination destkey'],
      [
        'integer',
        'seconds milliseconds ttl count offset start end index db destination-db len bit cursor numreplicas timeout',
      ],
      ['integer', 'protover decrement increment'],
      ['double', 'float-increment'],
      ['unix-time', 'unix-time-seconds unix-time-milliseconds'],
      ['pattern', 'pattern'],
    ] as const
  ).flatMap(([type, names]) => names.split(' ').map(name => [name, type] as const)),
)

class Reader {
  readonly #words: readonly string[]
  #at = 0

  constructor(syntax: string) {
    this.#words = syntax.match(/[[\]<>|]|[^\s[\]<>|]+/g) ?? []
  }

  get #next(): string | undefined {
    return this.#words[this.#at]
  }

  /** Up to the bracket that closes, or the end: one sequence, or several to choose from. */
  choice(): Argument[] {
    const alternatives = [this.#sequence()]
    while (this.#next === '|') {
      this.#at++
      alternatives.push(this.#sequence())
    }
    if (alternatives.length === 1) return alternatives[0]!
    return [{ name: 'choice', type: 'oneof', flags: [], arguments: alternatives.map(asOne) }]
  }

  #sequence(): Argument[] {
    const found: Argument[] = []
    for (;;) {
      const word = this.#next
      if (word === undefined || word === '|' || word === ']' || word === '>') return found
      this.#at++
      if (word === '...') repeat(found)
      else if (word === '[') this.#optional(found)
      else if (word === '<') {
        found.push(asOne(this.choice()))
        this.#at++
      } else if (/^[A-Z]/.test(word)) found.push(this.#token(word))
      else found.push(plain(word))
    }
  }

  #optional(found: Argument[]): void {
    const inside = this.choice()
    this.#at++
    const again = inside.length === 1 && inside[0]!.flags.includes('multiple') ? partsOf(inside[0]!) : []
    const before = found.slice(found.length - again.length)
    if (again.length > 0 && before.length === again.length && before.every(({ name }, i) => name === again[i]!.name)) {
      found.splice(found.length - again.length, again.length, asOne(inside))
      return
    }
    const one = asOne(inside)
    found.push({ ...one, flags: ['optional', ...one.flags] })
  }

  /** A token and, up to the next bracket or token, what belongs to it. */
  #token(token: string): Argument {
    const its: Argument[] = []
    while (this.#next !== undefined && /^[a-z]/.test(this.#next)) its.push(plain(this.#words[this.#at++]!))
    if (its.length === 0) return { name: token.toLowerCase(), type: 'pure-token', token, flags: [], arguments: [] }
    return { ...asOne(its), token }
  }
}

function plain(name: string): Argument {
  return { name, type: types.get(name) ?? 'string', flags: [], arguments: [] }
}

/** What is repeated: a block's parts, or the one argument itself. */
function partsOf(argument: Argument): readonly Argument[] {
  return argument.type === 'block' && argument.token === undefined ? argument.arguments : [argument]
}

/** `...` repeats all that stands before it in its brackets. */
function repeat(found: Argument[]): void {
  const one = asOne(found.splice(0))
  found.push({ ...one, flags: [...one.flags, 'multiple'] })
}

function asOne(parts: readonly Argument[]): Argument {
  if (parts.length === 1) return parts[0]!
  return { name: parts.map(({ name }) => name).join('_'), type: 'block', flags: [], arguments: parts }
}

export function argumentsOf(syntax: string): readonly Argument[] {
  return new Reader(syntax).choice()
}
