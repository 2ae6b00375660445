// Runs the contracts on what keeps them and on what does not: most of its tests fail, as test/testing/contracts.test.ts expects.
// Not for: running by itself.
import { codecContract, functionsContract, sourceContract, tierContract } from '../../../src/testing/index.ts'
import { brokenCodecs, codecRefused, codecValues, soundCodecs } from './codecs.ts'
import { brokenFunctions, fixture } from './functions.ts'
import { brokenSources, sourceWith } from './sources.ts'
import { brokenTiers, tierOf } from './tiers.ts'

functionsContract('sound functions', () => fixture())
functionsContract(
  'sound functions that load alone, and look at no signal',
  () => {
    const made = fixture(good => ({ load: ids => good.load(ids, { signal: new AbortController().signal }) }))
    return { ...made, functions: { load: made.functions.load } }
  },
  ['store', 'remove', 'signal'],
)
functionsContract('functions that load alone, and do not say so', () => {
  const made = fixture()
  return { ...made, functions: { load: made.functions.load } }
})
for (const [name, [rule, change]] of Object.entries(brokenFunctions)) {
  functionsContract(name, () => {
    const { hold, ...made } = fixture(change)
    // Waiting in vain takes its time.
    return { ...made, ...(rule.includes('held up') ? { hold: hold! } : {}) }
  })
}

for (const [name, [make, values, refused]] of Object.entries(soundCodecs))
  codecContract(name, make, values, { refused })
for (const [name, { make, values = codecValues }] of Object.entries(brokenCodecs)) {
  codecContract(name, make, values, { refused: codecRefused })
}

tierContract('a sound tier', () => tierOf())
for (const [name, [, operations]] of Object.entries(brokenTiers)) tierContract(name, () => tierOf(operations))

for (const [name, [, change]] of Object.entries(brokenSources)) sourceContract(name, () => sourceWith(change))
