// Tags: names that values are filed under, so that all of one name can be given up at once. Each value keeps the tokens of
// its tags as they were when it was asked for; giving up a tag is one token less that is alive, and costs the same for one
// value and for a million.
// Not for: agreeing on tags with other processes (library/shared-tags.ts).
import type { Tag } from './slots.ts'

/** Shared by all values that were filed under a tag since it was last given up. */
export interface TagToken extends Tag {
  readonly name: string
  /** Says in a tier which giving up it is since. */
  readonly generation: bigint
  alive: boolean
}

export class Tags {
  readonly #tokens = new Map<string, TagToken>()

  get(name: string): TagToken | undefined {
    return this.#tokens.get(name)
  }

  /** The tag as it is from now on. */
  begin(name: string, generation: bigint): TagToken {
    this.giveUp(name)
    const token = { name, generation, alive: true }
    this.#tokens.set(name, token)
    return token
  }

  /** Whatever was filed under the tag until now reads as absent. */
  giveUp(name: string): void {
    const token = this.#tokens.get(name)
    if (token === undefined) return
    token.alive = false
    this.#tokens.delete(name)
  }

  names(): IterableIterator<string> {
    return this.#tokens.keys()
  }
}
