// The contract suite of tiers: run it in a test file for every implementation. What cannot happen to a tier (a rollback,
// another primary) is named in `cannot`, and the tests of it are left out.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Awaitable } from '../tier/tier.ts'
import { leaseRules } from './tier-leases.ts'
import { messageRules } from './tier-messages.ts'
import { holdRules, renewRules } from './tier-renewals.ts'
import * as rules from './tier-rules.ts'
import * as schedules from './tier-schedules.ts'
import { TierScene, type TierFixture } from './tier-scene.ts'

export type { TierFixture } from './tier-scene.ts'

/**
 * Registers one `node:test` test for each rule and schedule. `make` is called once a test and gives a fresh tier. Tests of
 * what the tier `cannot` do are left out.
 */
export function tierContract(
  name: string,
  make: () => Awaitable<TierFixture>,
  cannot: readonly rules.TierAbility[] = [],
): void {
  const groups: Record<string, rules.TierRules> = {
    read: rules.readRules,
    lease: leaseRules,
    renew: renewRules,
    hold: holdRules,
    fill: rules.fillRules,
    put: rules.putRules,
    'late put': rules.latePutRules,
    apply: rules.applyRules,
    reset: rules.resetRules,
    void: rules.voidRules,
    fence: rules.fenceRules,
    ...(cannot.includes('messages') ? {} : { messages: messageRules }),
    'schedules of writers': schedules.writeSchedules,
    'schedules of chunks': schedules.chunkSchedules,
    'schedules of losses': schedules.lossSchedules,
    'schedules of fences': schedules.fenceSchedules,
  }
  void describe(name, () => {
    void test('a lane without a header has no state and no records, and nothing but a reset has any effect', async () => {
      await withScene(make, async scene => {
        await schedules.nothingHasAnyEffect(scene)
        await scene.reset()
        assert.equal(await scene.record(), undefined)
      })
    })
    for (const [group, tests] of Object.entries(groups)) {
      void describe(group, () => {
        for (const [sentence, rule] of Object.entries(tests)) {
          const need = rules.needs[sentence]
          if (need !== undefined && cannot.includes(need)) continue
          void test(sentence, async () => {
            await withScene(make, async scene => {
              await scene.reset()
              await rule(scene)
            })
          })
        }
      })
    }
  })
}

async function withScene(make: () => Awaitable<TierFixture>, body: (scene: TierScene) => Promise<void>): Promise<void> {
  const fixture = await make()
  try {
    await body(new TierScene(fixture))
  } finally {
    await fixture.close?.()
  }
}
