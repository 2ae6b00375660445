// A user's functions as the rules of their contract call them: as the cache does, with what they are given frozen or kept, and
// what they answer taken apart with the same care.
import assert from 'node:assert/strict'
import { valuesOf } from '../source/function-calls.ts'
import type { SourceFunctions } from '../source/functions-source.ts'

/** What an implementer gives to the contract. */
export interface FunctionsFixture<V> {
  readonly functions: SourceFunctions<V>
  /** Another id for each number from 0 on; none of them is there at first. */
  id(number: number): string
  /** What may be stored for the id: another value for each version, 0 and 1. What is loaded is to be deeply equal to it. */
  value(id: string, version: number): V
  /** Puts values there from outside. Without it `store` does. */
  put?(entries: ReadonlyMap<string, V>): void | Promise<void>
  /**
   * Holds up whatever the functions ask, as a lock or a server that hangs does, until what is returned is called. Without it
   * signals are tested that are aborted before the call.
   */
  hold?(): (() => void | Promise<void>) | Promise<() => void | Promise<void>>
  close?(): void | Promise<void>
}

export class FunctionsScene<V = unknown> {
  readonly fixture: FunctionsFixture<V>

  constructor(fixture: FunctionsFixture<V>) {
    this.fixture = fixture
  }

  /** So many different ids, none of which is there at first. */
  ids(count: number): readonly string[] {
    const ids = Array.from({ length: count }, (_, number) => this.fixture.id(number))
    assert.equal(new Set(ids).size, count, 'the fixture has another id for each number')
    return ids
  }

  entries(ids: readonly string[], version = 0): Map<string, V> {
    return new Map(ids.map(id => [id, this.fixture.value(id, version)]))
  }

  /** Their values, by the fixture's own way or by `store`. Returns what is there now. */
  async put(ids: readonly string[], version = 0): Promise<Map<string, V>> {
    const entries = this.entries(ids, version)
    if (this.fixture.put === undefined) await this.store(entries)
    else await this.fixture.put(entries)
    return entries
  }

  async load(ids: readonly string[], signal: AbortSignal = new AbortController().signal): Promise<unknown[]> {
    const answer = await this.fixture.functions.load(Object.freeze([...ids]), { signal })
    return valuesOf("'load'", ids, answer)
  }

  async store(entries: ReadonlyMap<string, V>, signal: AbortSignal = new AbortController().signal): Promise<void> {
    const { store } = this.fixture.functions
    assert.ok(store !== undefined, "the fixture has a 'put', or its functions a 'store'")
    const given = new Map(entries)
    await this.fixture.functions.store!(given, { signal })
    assert.deepEqual([...given], [...entries], 'what is given to `store` is not changed')
  }

  async remove(ids: readonly string[], signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.fixture.functions.remove!(Object.freeze([...ids]), { signal })
  }

  /** `load` shows these, and nothing for the ids of undefined. */
  async shows(expected: ReadonlyMap<string, unknown>, why: string): Promise<void> {
    assert.deepStrictEqual(await this.load([...expected.keys()]), [...expected.values()], why)
  }
}

/** So many ids, each with nothing. */
export function nothing(ids: readonly string[]): Map<string, undefined> {
  return new Map(ids.map(id => [id, undefined]))
}
