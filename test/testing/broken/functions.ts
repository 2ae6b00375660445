// Functions over a Map that are as they should be, and functions that each break one rule of the contract.
import type { SourceFunctions } from '../../../src/index.ts'
import type { FunctionsFixture } from '../../../src/testing/index.ts'

interface Row {
  readonly id: string
  readonly version: number
}

type Functions = Required<SourceFunctions<Row>>
type Rows = Map<string, Row>

/** What all of them wait for, and whether they hold. */
class Place {
  readonly rows: Rows = new Map()
  #held: Promise<void> | undefined

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held = promise
    return () => {
      this.#held = undefined
      resolve()
    }
  }

  /** A turn of the event loop, as a query takes one, and until it is let go. */
  async turn(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    signal?.addEventListener('abort', () => reject(signal.reason as Error))
    await Promise.race([this.#held ?? new Promise(resolve => void setImmediate(resolve)), aborted])
  }
}

function sound(place: Place): Functions {
  const { rows } = place
  return {
    load: async (ids, { signal }) => {
      await place.turn(signal)
      return new Map(ids.filter(id => rows.has(id)).map(id => [id, { ...rows.get(id)! }]))
    },
    store: async (entries, { signal }) => {
      await place.turn(signal)
      for (const [id, row] of entries) rows.set(id, row)
    },
    remove: async (ids, { signal }) => {
      await place.turn(signal)
      for (const id of ids) rows.delete(id)
    },
  }
}

export function fixture(
  change: (good: Functions, place: Place) => Partial<Functions> = () => ({}),
): FunctionsFixture<Row> {
  const place = new Place()
  const good = sound(place)
  return {
    functions: { ...good, ...change(good, place) },
    id: number => `id-${number}`,
    value: (id, version) => ({ id, version }),
    put: entries => {
      for (const [id, row] of entries) place.rows.set(id, row)
    },
    hold: () => place.hold(),
  }
}

/** By what they do: the rule that they break. */
export const brokenFunctions: Readonly<
  Record<string, readonly [breaks: string, change: (good: Functions, place: Place) => Partial<Functions>]>
> = {
  'null for what is not there': [
    'ids that are not there are left out of the answer, or undefined',
    (_, { rows }) => ({
      load: async ids => Object.fromEntries(ids.map(id => [id, rows.get(id) ?? null])) as Record<string, Row>,
    }),
  ],
  'all rows, whatever was asked for': [
    'ids that are there are answered with their values, and ids that were not asked for are not answered',
    (_, { rows }) => ({ load: () => Promise.resolve(rows) }),
  ],
  'rows in the order of the place, beside ids in the order asked': [
    'values belong to their ids, in whatever order these are asked for',
    (_, { rows }) => ({
      load: async ids => {
        const found = [...rows].filter(([id]) => ids.includes(id)).map(([, row]) => row)
        const there = ids.filter(id => rows.has(id))
        return there.map((id, at) => [id, found[at]])
      },
    }),
  ],
  'no more than a hundred rows at a time': [
    'as many ids as a batch has are loaded in one call',
    good => ({ load: (ids, context) => good.load(ids.slice(0, 100), context) }),
  ],
  'one place for the ids of all calls': [
    'loads that are under way together do not get into each other',
    (_, place) => {
      let asked: readonly string[] = []
      return {
        load: async ids => {
          asked = ids
          await place.turn()
          return new Map(asked.map(id => [id, place.rows.get(id)]))
        },
      }
    },
  ],
  'stores only what is not there': [
    'what was stored is loaded from then on, and replaces what was there',
    (good, { rows }) => ({
      store: (entries, context) => good.store(new Map([...entries].filter(([id]) => !rows.has(id))), context),
    }),
  ],
  'acknowledges before it stores': [
    'what was stored is loaded from then on, and replaces what was there',
    good => ({
      store: (entries, context) => {
        setImmediate(() => void good.store(entries, context))
      },
    }),
  ],
  'replaces everything with what it stores': [
    'storing leaves all else as it is',
    (good, { rows }) => ({
      store: (entries, context) => {
        rows.clear()
        return good.store(entries, context)
      },
    }),
  ],
  'stores the first fifty': [
    'many values are stored in one call',
    good => ({ store: (entries, context) => good.store(new Map([...entries].slice(0, 50)), context) }),
  ],
  'reads a file, and writes it with what it stores': [
    'values that are stored at the same time are all there afterwards',
    (_, place) => ({
      store: async entries => {
        const file = new Map(place.rows)
        await place.turn()
        place.rows.clear()
        for (const [id, row] of [...file, ...entries]) place.rows.set(id, row)
      },
    }),
  ],
  'removes before it stores': [
    'a load beside a store of its id answers the value before, or the one after',
    (good, { rows }) => ({
      store: (entries, context) => {
        for (const id of entries.keys()) rows.delete(id)
        return good.store(entries, context)
      },
    }),
  ],
  'removes the first alone': [
    'what was removed is not loaded any more, and all else is',
    good => ({ remove: (ids, context) => good.remove(ids.slice(0, 1), context) }),
  ],
  'stops at what is not there': [
    'removing what is not there is no error, and removes the rest',
    (good, { rows }) => ({
      remove: (ids, context) => {
        if (ids.some(id => !rows.has(id))) throw new Error('no such row')
        return good.remove(ids, context)
      },
    }),
  ],
  'remembers for good what was removed': [
    'what was removed can be there again',
    good => {
      const removed = new Set<string>()
      return {
        load: (ids, context) => good.load(ids.filter(id => !removed.has(id)), context),
        remove: ids => {
          for (const id of ids) removed.add(id)
        },
      }
    }, // prettier-ignore
  ],
  'reads a file, and writes it without what it removes': [
    'values that are removed at the same time are all gone afterwards',
    (_, place) => ({
      remove: async ids => {
        const file = new Map(place.rows)
        await place.turn()
        for (const id of ids) file.delete(id)
        place.rows.clear()
        for (const [id, row] of file) place.rows.set(id, row)
      },
    }),
  ],
  'a load that looks at no signal': [
    'a call whose signal is aborted already rejects',
    good => ({ load: ids => good.load(ids, { signal: new AbortController().signal }) }),
  ],
  'a store that looks at its signal at the beginning only': [
    'a call that is held up rejects once its signal is aborted',
    good => ({
      store: (entries, { signal }) => {
        signal.throwIfAborted()
        return good.store(entries, { signal: new AbortController().signal })
      },
    }),
  ],
}
