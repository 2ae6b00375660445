// Commands found by their name's bytes, in any case, without making a string: an open-addressed table of hashes of the
// lower-cased name. Not for: which commands there are (table.ts).
//
//   slots:  command's index + 1, or 0          names: 32 bytes a command, lower case
import { assert } from '../../base/assert.ts'
import type { Command } from './command.ts'

const NAME_BYTES_MAX = 32

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
}

export class CommandTable {
  readonly commands: readonly Command[]
  readonly #slots: Int16Array
  readonly #mask: number
  readonly #names: Uint8Array
  readonly #nameBytes: Uint8Array

  constructor(commands: readonly Command[]) {
    let size = 64
    while (size < commands.length * 4) size *= 2
    this.commands = commands
    this.#slots = new Int16Array(size)
    this.#mask = size - 1
    this.#names = new Uint8Array(commands.length * NAME_BYTES_MAX)
    this.#nameBytes = new Uint8Array(commands.length)
    for (const [index, command] of commands.entries()) {
      const name = Buffer.from(command.name)
      assert(name.length <= NAME_BYTES_MAX, 'a command has a short name')
      assert(command.name === command.name.toLowerCase(), 'a command is named in lower case')
      assert(this.find(name, 0, name.length) === -1, `the command ${command.name} is in the table once`)
      this.#names.set(name, index * NAME_BYTES_MAX)
      this.#nameBytes[index] = name.length
      let slot = this.#hash(name, 0, name.length)
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask
      this.#slots[slot] = index + 1
    }
  }

  #hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + lower(bytes[i]!)) | 0
    return (hash ^ (hash >>> 9)) & this.#mask
  }

  /** The index in `commands` of the one that bytes[start, end) name, in any case; -1 when there is none. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    if (length > NAME_BYTES_MAX) return -1
    let slot = this.#hash(bytes, start, end)
    for (;;) {
      const index = this.#slots[slot]! - 1
      if (index < 0) return -1
      if (this.#nameBytes[index] === length) {
        const name = index * NAME_BYTES_MAX
        let i = 0
        while (i < length && lower(bytes[start + i]!) === this.#names[name + i]) i++
        if (i === length) return index
      }
      slot = (slot + 1) & this.#mask
    }
  }

  named(name: string): Command | undefined {
    const bytes = Buffer.from(name)
    return this.commands[this.find(bytes, 0, bytes.length)]
  }
}

/** Whether a request of `argc` arguments, the name included, has as many as the command takes. */
export function arityHolds(command: Command, argc: number): boolean {
  return command.arity >= 0 ? argc === command.arity : argc >= -command.arity
}

/** The positions of the keys among the `argc` arguments of a request of `command`. */
export function keyPositions(command: Command, argc: number): number[] {
  const [first, last, step] = command.keys
  if (first === 0) return []
  const to = last < 0 ? argc + last : last
  const positions: number[] = []
  for (let i = first; i <= to && i < argc; i += step) positions.push(i)
  return positions
}
