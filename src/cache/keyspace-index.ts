// Which keyspace a key belongs to: the one named by what stands before its first ':'. On the way of every write and of
// every miss, so it compares bytes in place and makes nothing.
import { bytesEqual } from '../base/bytes.ts'
import { hash32 } from '../base/hash.ts'

const COLON = 0x3a
/** So few names are compared one after another, which is faster than hashing: on the path of a hit with a tier. */
const FEW = 8

interface Named {
  readonly description: { readonly name: string }
}

export class KeyspaceIndex<Keyspace extends Named> {
  readonly #byHash = new Map<number, { name: Uint8Array; keyspace: Keyspace }[]>()
  readonly #nameBytesMax: number
  /** All of them if they are few, else none. */
  readonly #few: readonly { readonly name: Uint8Array; readonly keyspace: Keyspace }[]

  constructor(keyspaces: readonly Keyspace[]) {
    let longest = 0
    for (const keyspace of keyspaces) {
      const name = Buffer.from(keyspace.description.name)
      const hash = hash32(name, 0, name.length, 0)
      const same = this.#byHash.get(hash)
      if (same === undefined) this.#byHash.set(hash, [{ name, keyspace }])
      else same.push({ name, keyspace })
      longest = Math.max(longest, name.length)
    }
    this.#nameBytesMax = longest
    this.#few = keyspaces.length > FEW ? [] : [...this.#byHash.values()].flat()
  }

  /** The keyspace of the key bytes[start, end), or undefined: a plain key. */
  of(bytes: Uint8Array, start: number, end: number): Keyspace | undefined {
    if (this.#nameBytesMax === 0) return undefined
    if (this.#few.length > 0) return this.#ofFew(bytes, start, end)
    const last = Math.min(end, start + this.#nameBytesMax + 1)
    let colon = start
    while (colon < last && bytes[colon] !== COLON) colon++
    if (colon === last) return undefined
    const candidates = this.#byHash.get(hash32(bytes, start, colon, 0))
    if (candidates === undefined) return undefined
    for (const { name, keyspace } of candidates) {
      if (bytesEqual(name, 0, name.length, bytes, start, colon)) return keyspace
    }
    return undefined
  }

  #ofFew(bytes: Uint8Array, start: number, end: number): Keyspace | undefined {
    const few = this.#few
    for (let i = 0; i < few.length; i++) {
      const { name, keyspace } = few[i]!
      const colon = start + name.length
      if (colon < end && bytes[colon] === COLON && bytesEqual(name, 0, name.length, bytes, start, colon)) {
        return keyspace
      }
    }
    return undefined
  }
}
