// Tags: names that values are filed under, so that all of one name can be given up at once. Each value keeps the tokens of
// its tags as they were; giving up a tag is one token less that is alive, and costs the same for one value and for a million.
// Not for: tags that other processes gave up (cache/).
import type { Tag } from './slots.ts'

export class Tags {
  readonly #tokens = new Map<string, Tag>()

  /** The tokens of these tags as of now; undefined for none. */
  tokens(names: readonly string[] | undefined): readonly Tag[] | undefined {
    if (names === undefined || names.length === 0) return undefined
    return names.map(name => this.#token(name))
  }

  #token(name: string): Tag {
    let token = this.#tokens.get(name)
    if (token === undefined) this.#tokens.set(name, (token = { alive: true }))
    return token
  }

  /** Whatever was filed under the tag until now reads as absent. False: nothing was. */
  giveUp(name: string): boolean {
    const token = this.#tokens.get(name)
    if (token === undefined) return false
    token.alive = false
    this.#tokens.delete(name)
    return true
  }
}
