// What the cache counts on of a user's own functions, as tests of node:test: call `functionsContract` in a test file of yours with
// a way to make your functions over a fresh place, and run that file with `node --test`.
// Not for: what functions promise nobody (conditions, transactions, an order of calls that are made at the same time).
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadRules, removeRules, signalRules, storeRules, whileHeld, type FunctionsRules } from './functions-rules.ts'
import { FunctionsScene, type FunctionsFixture } from './functions-scene.ts'

export type { FunctionsFixture } from './functions-scene.ts'

/** What functions may do without: they have no `store`, no `remove`, or answer so fast that they look at no signal. */
export type FunctionsAbility = 'store' | 'remove' | 'signal'

/**
 * Registers one `node:test` test for each rule. `make` is called once a test. Tests of what the functions `cannot` do are left
 * out; what is not named there has to be there.
 */
export function functionsContract<V>(
  name: string,
  make: () => FunctionsFixture<V> | Promise<FunctionsFixture<V>>,
  cannot: readonly FunctionsAbility[] = [],
): void {
  const groups: readonly (readonly [FunctionsAbility | 'load', FunctionsRules])[] = [
    ['load', loadRules],
    ['store', storeRules],
    ['remove', removeRules],
    ['signal', signalRules],
  ]
  void describe(name, () => {
    for (const [ability, rules] of groups) {
      if (ability !== 'load' && cannot.includes(ability)) continue
      for (const [sentence, rule] of Object.entries(rules)) {
        void test(sentence, async t => {
          const fixture = await make()
          try {
            if (sentence === whileHeld && fixture.hold === undefined) return t.skip('the fixture has no hold()')
            const missing =
              ability === 'store' || ability === 'remove' ? fixture.functions[ability] === undefined : false
            assert.ok(!missing, `there is a function '${ability}', or 'cannot' says that there is none`)
            await rule(new FunctionsScene(fixture))
          } finally {
            await fixture.close?.()
          }
        })
      }
    }
  })
}
