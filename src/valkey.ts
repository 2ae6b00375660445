// The entry of `tidemark/valkey`: the tier that many processes share. Needs the package `redis` (node-redis). Re-exports only.
export { ValkeyTier } from './tier/valkey-tier.ts'
export type { ValkeyTierOptions } from './tier/valkey-tier.ts'
export type {
  ValkeyAddress,
  ValkeyArguments,
  ValkeyClientOptions,
  ValkeyReply,
  ValkeyTimes,
} from './tier/valkey-connection.ts'
