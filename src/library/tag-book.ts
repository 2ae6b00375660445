// What tags are now: in one process, and among processes that share a tier. A tag is then a value of the tier itself, of a
// keyspace of its own, whose value is a number drawn at random: whoever gives up the tag writes another one, and everybody
// is told, as of any write. A value that was filed under another number than the tag has now is not there.
// Not for: what a token does to a value in memory (near/tags.ts).
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { randomToken } from '../coherence/record.ts'
import type { Random } from '../base/random.ts'
import type { TagToken, Tags } from '../near/tags.ts'
import { invalid } from './option-checks.ts'

/** The keyspace of tags. */
export const TAGS = '#tags'

/** Throws TAG_INVALID, or OPTION_INVALID. */
export function checkTags(names: readonly string[]): void {
  const given: unknown = names
  if (!Array.isArray(given)) throw invalid('tags', given, 'an array of strings')
  if (names.length > limits.tagsPerValueMax) {
    const what = `a value has ${names.length} tags: ${limits.tagsPerValueMax} are allowed (limits.tagsPerValueMax)`
    throw new TidemarkError('TAG_INVALID', what)
  }
  for (const name of names) checkTag(name)
}

/** Throws TAG_INVALID, or OPTION_INVALID. */
export function checkTag(name: string): void {
  if (typeof name !== 'string') throw invalid('tags', name, 'strings')
  const bytes = Buffer.byteLength(name)
  if (bytes > 0 && bytes <= limits.tagBytesMax && name.isWellFormed()) return
  const what = `a tag has ${bytes} bytes: 1 to ${limits.tagBytesMax} of UTF-8 are allowed (limits.tagBytesMax)`
  throw new TidemarkError('TAG_INVALID', what)
}

export interface TagBook {
  /** The tags' tokens as of now; undefined: it cannot be said, and nothing may be filed under them. */
  tokens(names: readonly string[]): Promise<readonly TagToken[] | undefined>
  giveUp(name: string): Promise<void>
}

/** Of one process: what it knows is all there is. */
export class OwnTags implements TagBook {
  readonly #tags: Tags

  constructor(tags: Tags) {
    this.#tags = tags
  }

  tokens(names: readonly string[]): Promise<readonly TagToken[]> {
    return Promise.resolve(names.map(name => this.#tags.get(name) ?? this.#tags.begin(name, 0n)))
  }

  giveUp(name: string): Promise<void> {
    this.#tags.giveUp(name)
    return Promise.resolve()
  }
}

/** The generations of tags, as values of a tier. */
export interface TagValues {
  /** What the tier has, or `draw` if it has nothing; undefined: that could not be kept near, so nobody tells of its end. */
  generation(name: string, draw: () => bigint): Promise<bigint | undefined>
  set(name: string, generation: bigint): Promise<void>
}

export class SharedTags implements TagBook {
  readonly #tags: Tags
  readonly #values: TagValues
  readonly #random: Random

  constructor(tags: Tags, values: TagValues, random: Random) {
    this.#tags = tags
    this.#values = values
    this.#random = random
  }

  async tokens(names: readonly string[]): Promise<readonly TagToken[] | undefined> {
    const tokens = await Promise.all(names.map(async name => this.#tags.get(name) ?? this.#learn(name)))
    const known = tokens.filter(token => token !== undefined)
    return known.length === names.length ? known : undefined
  }

  async #learn(name: string): Promise<TagToken | undefined> {
    const generation = await this.#values.generation(name, () => randomToken(this.#random))
    if (generation === undefined) return undefined
    // Others may have learnt it meanwhile.
    const token = this.#tags.get(name)
    return token?.generation === generation ? token : this.#tags.begin(name, generation)
  }

  async giveUp(name: string): Promise<void> {
    this.#tags.giveUp(name)
    await this.#values.set(name, randomToken(this.#random))
    this.#tags.giveUp(name)
  }
}
