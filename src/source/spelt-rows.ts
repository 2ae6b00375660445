// Rows as their database spelt them, kept beside the objects that were made of them, for as long as those may go into a tier:
// servers read the rows that services put there. An object does not say any more how its values were spelt (5.0, or which strings are
// bytes in base64), and a schema may have made another one of it.
// Not for: rows in a process's own memory, which nobody else reads.

export class SpeltRows {
  readonly #json = new WeakMap<object, Uint8Array>()

  /** `row` was made of `json`. */
  keep(row: unknown, json: Uint8Array): void {
    if (typeof row === 'object' && row !== null) this.#json.set(row, json)
  }

  /** `made` was made of `row`. */
  hand(row: unknown, made: unknown): void {
    const json = this.of(row)
    if (json !== undefined && made !== row) this.keep(made, json)
  }

  /** undefined: of what is no row of the database, and of what was forgotten. */
  of(row: unknown): Uint8Array | undefined {
    return typeof row === 'object' && row !== null ? this.#json.get(row) : undefined
  }

  /** It stays in memory, and goes nowhere any more. */
  forget(row: unknown): void {
    if (typeof row === 'object' && row !== null) this.#json.delete(row)
  }
}
