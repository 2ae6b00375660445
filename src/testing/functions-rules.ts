// The rules of a user's own functions, as sentences. Each is something that the cache would go wrong without.
// Not for: how they are called (functions-scene.ts).
import assert from 'node:assert/strict'
import { sleep, systemClock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { nothing, type FunctionsScene } from './functions-scene.ts'

export type FunctionsRules = Readonly<Record<string, (scene: FunctionsScene) => Promise<void>>>

/** Of fixtures with `hold`. */
export const whileHeld = 'a call that is held up rejects once its signal is aborted'

/** How long a function may take to heed its signal, in ms of the real clock. */
const HEEDS_WITHIN_MS = 2_000
const TOGETHER = 20
const MANY = 100

export const loadRules: FunctionsRules = {
  'ids that are not there are left out of the answer, or undefined': async s => {
    const ids = s.ids(2)
    await s.shows(nothing(ids), 'null, too, would be a value')
    await s.shows(nothing(ids.slice(0, 1)), 'one alone')
  },
  'ids that are there are answered with their values, and ids that were not asked for are not answered': async s => {
    const [a, b, absent, other] = s.ids(4) as [string, string, string, string]
    const there = await s.put([a, b, other])
    await s.shows(new Map([[a, there.get(a)], [b, there.get(b)]]), 'all that were asked for are there') // prettier-ignore
    await s.shows(new Map([[a, there.get(a)], [absent, undefined]]), 'one of them is there') // prettier-ignore
    await s.shows(new Map([[other, there.get(other)]]), 'one alone')
  },
  'values belong to their ids, in whatever order these are asked for': async s => {
    const ids = s.ids(5)
    const there = [...(await s.put(ids.slice(1)))]
    await s.shows(new Map([...there, [ids[0]!, undefined]]), 'in the order in which they came there')
    await s.shows(new Map([[ids[0]!, undefined], ...there.toReversed()]), 'the other way around')
  },
  'as many ids as a batch has are loaded in one call': async s => {
    const ids = s.ids(limits.loadBatchMax)
    const half = ids.filter((_, at) => at % 2 === 0)
    const there: ReadonlyMap<string, unknown> = await s.put(half)
    await s.shows(new Map(ids.map(id => [id, there.get(id)])), `${ids.length} ids, of which every other is there`)
  },
  'loads that are under way together do not get into each other': async s => {
    const ids = s.ids(TOGETHER)
    const there = await s.put(ids)
    const answers = await Promise.all(ids.map((id, at) => s.load([id, ids[(at + 1) % TOGETHER]!])))
    const expected = ids.map((id, at) => [there.get(id), there.get(ids[(at + 1) % TOGETHER]!)])
    assert.deepStrictEqual(answers, expected)
  },
}

export const storeRules: FunctionsRules = {
  'what was stored is loaded from then on, and replaces what was there': async s => {
    const ids = s.ids(3)
    for (const version of [0, 1, 0]) {
      const entries = s.entries(ids, version)
      await s.store(entries)
      await s.shows(entries, `version ${version}`)
    }
  },
  'storing leaves all else as it is': async s => {
    const [a, b, absent] = s.ids(3) as [string, string, string]
    const there = await s.put([a, b])
    const changed = s.entries([a], 1)
    await s.store(changed)
    await s.shows(new Map([...changed, [b, there.get(b)], [absent, undefined]]), 'one of two was stored')
  },
  'many values are stored in one call': async s => {
    const ids = s.ids(MANY)
    await s.put(ids.slice(MANY / 2))
    const entries = s.entries(ids, 1)
    await s.store(entries)
    await s.shows(entries, `${MANY} values, of which half were there`)
  },
  'values that are stored at the same time are all there afterwards': async s => {
    const entries = s.entries(s.ids(TOGETHER))
    await Promise.all(Array.from(entries, entry => s.store(new Map([entry]))))
    await s.shows(entries, 'each in a call of its own')
  },
  'a load beside a store of its id answers the value before, or the one after': async s => {
    const [id] = s.ids(1) as [string]
    const before = (await s.put([id])).get(id)
    const after = s.entries([id], 1)
    const [[seen]] = await Promise.all([s.load([id]) as Promise<[unknown]>, s.store(after)])
    if (!isSame(seen, before)) assert.deepStrictEqual(seen, after.get(id), 'neither of them')
    await s.shows(after, 'afterwards')
  },
}

export const removeRules: FunctionsRules = {
  'what was removed is not loaded any more, and all else is': async s => {
    const ids = s.ids(4)
    const there = await s.put(ids)
    const [a, b, ...left] = ids as [string, string, ...string[]]
    await s.remove([a, b])
    await s.shows(new Map([...nothing([a, b]), ...left.map(id => [id, there.get(id)] as const)]), 'two of four')
    await s.remove([left[0]!])
    await s.shows(new Map([[left[1]!, there.get(left[1]!)], [left[0]!, undefined]]), 'three of four') // prettier-ignore
  },
  'removing what is not there is no error, and removes the rest': async s => {
    const [absent, id, other] = s.ids(3) as [string, string, string]
    await s.put([id])
    await s.remove([absent, id, other])
    await s.shows(nothing([id, absent]), 'the one that was there')
    await s.remove([id])
  },
  'what was removed can be there again': async s => {
    const ids = s.ids(2)
    await s.put(ids)
    await s.remove(ids)
    await s.shows(await s.put(ids, 1), 'put there after it was removed')
  },
  'values that are removed at the same time are all gone afterwards': async s => {
    const ids = s.ids(TOGETHER)
    await s.put(ids)
    await Promise.all(ids.map(id => s.remove([id])))
    await s.shows(nothing(ids), 'each in a call of its own')
  },
}

export const signalRules: FunctionsRules = {
  'a call whose signal is aborted already rejects': async s => {
    const ids = s.ids(1)
    for (const [name, call] of callsOf(s, ids, AbortSignal.abort(new Error('too late')))) {
      await assert.rejects(call, `'${name}' goes on though nobody waits for it`)
    }
  },
  [whileHeld]: async s => {
    const ids = s.ids(1)
    const release = await s.fixture.hold!()
    try {
      const controller = new AbortController()
      const calls = callsOf(s, ids, controller.signal).map(async ([name, call]) => {
        await assert.rejects(call, `'${name}' rejects`)
      })
      controller.abort(new Error('too late'))
      const late = sleep(systemClock(), HEEDS_WITHIN_MS).then(() => assert.fail('calls go on for seconds all the same'))
      late.catch(() => {})
      await Promise.race([Promise.all(calls), late])
    } finally {
      await release()
    }
  },
}

function callsOf(s: FunctionsScene, ids: readonly string[], signal: AbortSignal): [string, () => Promise<unknown>][] {
  const { store, remove } = s.fixture.functions
  const calls: [string, () => Promise<unknown>][] = [['load', () => s.load(ids, signal)]]
  if (store !== undefined) calls.push(['store', () => s.store(s.entries(ids), signal)])
  if (remove !== undefined) calls.push(['remove', () => s.remove(ids, signal)])
  return calls
}

function isSame(a: unknown, b: unknown): boolean {
  try {
    assert.deepStrictEqual(a, b)
    return true
  } catch {
    return false
  }
}
