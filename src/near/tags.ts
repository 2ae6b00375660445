// Tags: names that values are filed under, so that all of one name can be given up at once. Each value keeps the tokens of
// its tags as they were when it was asked for; giving up a tag is one token less that is alive, and costs the same for one
// value and for a million. A tag that no value has any more, and none that is being made, is forgotten once the
// garbage collector has found that out: there may be a tag for each user of a service.
// Not for: agreeing on tags with other processes (library/tag-book.ts).
import type { Tag } from './slots.ts'

/** Shared by all values that were filed under a tag since it was last given up. */
export interface TagToken extends Tag {
  readonly name: string
  /** Says in a tier which giving up it is since. */
  readonly generation: bigint
  alive: boolean
}

/** Looked at for each tag that begins, so that at most half as many are forgotten late as there are. */
const SWEPT_AT_ONCE = 2

export class Tags {
  readonly #tokens = new Map<string, WeakRef<TagToken>>()
  #swept = this.#tokens.entries()

  get(name: string): TagToken | undefined {
    return this.#tokens.get(name)?.deref()
  }

  /** The tag as it is from now on. */
  begin(name: string, generation: bigint): TagToken {
    this.giveUp(name)
    this.#sweep()
    const token = { name, generation, alive: true }
    this.#tokens.set(name, new WeakRef(token))
    return token
  }

  /** Whatever was filed under the tag until now reads as absent. */
  giveUp(name: string): void {
    const token = this.get(name)
    if (token !== undefined) token.alive = false
    this.#tokens.delete(name)
  }

  /** Of tags that were not given up; some may be there that no value has any more. */
  names(): IterableIterator<string> {
    return this.#tokens.keys()
  }

  #sweep(): void {
    for (let looked = 0; looked < SWEPT_AT_ONCE; looked++) {
      const { done, value } = this.#swept.next()
      if (done === true) {
        this.#swept = this.#tokens.entries()
        return
      }
      const [name, token] = value
      if (token.deref() === undefined) this.#tokens.delete(name)
    }
  }
}
