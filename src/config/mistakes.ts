// Collects all that is wrong with a configuration, so that it is reported at once and not one by one.
import { TidemarkError } from '../base/errors.ts'

export class Mistakes {
  readonly #lines: string[] = []

  get count(): number {
    return this.#lines.length
  }

  /** `where` is a path in the file, a flag or a variable; `what` says what was got and what is allowed. */
  add(where: string, what: string): void {
    this.#lines.push(`${where}: ${what}`)
  }

  /** Throws CONFIG_INVALID if there are any: a single one on one line, several below each other. */
  throwIfAny(): void {
    const [first, ...others] = this.#lines
    if (first === undefined) return
    const message = others.length === 0 ? first : `${this.#lines.length} mistakes:\n  ${this.#lines.join('\n  ')}`
    throw new TidemarkError('CONFIG_INVALID', message)
  }
}

/** A value as it is named in a message: short, on one line. */
export function gotText(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty list' : `a list [${value.map(gotText).join(', ')}]`.slice(0, 80)
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}
