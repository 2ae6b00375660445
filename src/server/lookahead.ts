// Loading ahead: while a session waits for a row, the requests behind it in its pipeline say which rows it will read
// next. Their loads begin at once and go to the database together, instead of one after another. Not for: running
// anything; a prefetch only warms memory, and each request asks again when its turn comes.
//
// Looks no further than the first request that is not a plain read (it may change what later ones find), is cut, or is
// malformed.
import { limits } from '../base/limits.ts'
import type { Cache } from '../cache/cache.ts'
import { RequestParser } from '../wire/request-parser.ts'
import type { CommandTable } from './commands/command-table.ts'
import { arityHolds, keyPositions } from './commands/command-table.ts'

export class Lookahead {
  readonly #table: CommandTable
  readonly #cache: Cache
  readonly #parser = new RequestParser()

  constructor(table: CommandTable, cache: Cache) {
    this.#table = table
    this.#cache = cache
  }

  /** Begins loading the rows that requests in buffer[at, end) read. Returns the position up to which it looked. */
  scan(buffer: Buffer, at: number, end: number): number {
    const keys: string[] = []
    while (at < end && keys.length < limits.loadBatchMax) {
      const next = this.#parser.parse(buffer, at, end)
      if (next < 0 || !this.#collect(keys)) break
      at = next
    }
    this.#parser.reset()
    if (keys.length > 0) this.#cache.prefetch(keys)
    return at
  }

  /** False when the request is no plain read. */
  #collect(keys: string[]): boolean {
    const { argc, buffer, start, end } = this.#parser
    if (argc === 0) return true
    const command = this.#table.commands[this.#table.find(buffer, start[0]!, end[0]!)]
    if (command === undefined || !arityHolds(command, argc) || command.flags.includes('write')) return false
    if (!command.flags.includes('readonly')) return command.keys[0] === 0
    for (const position of keyPositions(command, argc)) {
      const from = start[position]!
      const to = end[position]!
      if (this.#cache.keyspaceOf(buffer, from, to) !== undefined) keys.push(buffer.toString('utf8', from, to))
    }
    return true
  }
}
