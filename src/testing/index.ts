// The entry of `tidemark/testing`: what users test with. Re-exports only. The contract suites register tests of node:test.
export { ManualClock } from './clock.ts'
export { MemoryTier } from './memory-tier.ts'
export type { MemoryTierOptions } from './memory-tier.ts'
export { sourceContract } from './source-contract.ts'
export type { SourceFixture } from './source-contract.ts'
export { tierContract } from './tier-contract.ts'
export type { TierFixture } from './tier-contract.ts'
