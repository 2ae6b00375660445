// A tier in memory whose operations each break one rule of the contract of tiers.
import * as coherence from '../../../src/coherence/operations.ts'
import { ManualClock, MemoryTier, type TierFixture } from '../../../src/testing/index.ts'

type Operations = typeof coherence

export function tierOf(operations: Partial<Operations> = {}): TierFixture {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, operations: { ...coherence, ...operations } })
  return { tier, clock, checkpoint: () => tier.checkpoint(), moveToShard: shard => tier.moveToShard(shard) }
}

/** By what they do: a rule that they break. */
export const brokenTiers: Readonly<Record<string, readonly [breaks: string, operations: Partial<Operations>]>> = {
  'a fill by whoever comes': [
    'a reader that loaded before a write and fills after it is refused',
    {
      fill: (header, record, request) => {
        if (header === undefined) return coherence.fill(header, record, request)
        const { generation } = header
        const lease = { type: 'lease', generation, token: request.token, untilMs: Infinity } as const
        return coherence.fill(header, lease, request)
      },
    },
  ],
  'changes that remove nothing': [
    'a change applied between lease and fill refuses the fill, also when another lease was taken since',
    { applyToRecord: () => 'keep' },
  ],
  'a reset by whoever comes': [
    'a reset that comes late does not undo a later one',
    {
      reset: (header, request) => coherence.reset(header, { ...request, expected: header }),
    },
  ],
}
