// The entry of `tidemark`: re-exports only.
export { errorTable, TidemarkError } from './base/errors.ts'
export type { ErrorCode } from './base/errors.ts'
export { defineConfig } from './config/config.ts'
export type {
  CreateContext,
  KeyspaceConfig,
  PostgresDatabase,
  PostgresOptions,
  SqliteDatabase,
  SqliteOptions,
  TidemarkConfig,
  TierConfig,
} from './config/config.ts'
export type { Duration, Size } from './config/units.ts'
export { jsonCodec } from './codec/json-codec.ts'
export { msgpackCodec } from './codec/msgpack-codec.ts'
export { rawCodec } from './codec/raw-codec.ts'
export { structuredCodec } from './codec/structured-codec.ts'
export type { Codec } from './codec/codec.ts'
export type { CompressionOptions } from './codec/compression.ts'
export type { KeyRing } from './codec/encryption.ts'
export type { TierOptions } from './library/tier-place.ts'
export { Tidemark, createTidemark } from './library/tidemark.ts'
export { Keyspace } from './library/keyspace.ts'
export { Session } from './library/session.ts'
export { TableSource } from './library/table-source.ts'
export type { Build } from './library/builds.ts'
export type { Answer } from './library/keyspace.ts'
export type { BehindOptions, BehindRetry, JournalOptions, WriteMode } from './library/behind-options.ts'
export type { BehindStats } from './library/behind-source.ts'
export type { EventName, Listener, TidemarkEvents } from './library/events.ts'
export type { Key, KeyKind } from './library/key.ts'
export type {
  BuildOptions,
  CallOptions,
  CheckedKeyspaceOptions,
  Clone,
  KeyspaceOptions,
  KeyspaceSource,
  NearOptions,
  StoreOptions,
  TidemarkOptions,
  WriteOptions,
} from './library/options.ts'
export type { BreakerOptions, LoadOptions, OldValueOptions } from './library/load-options.ts'
export type { SchemaIssue, SchemaResult, StandardSchema } from './library/schema.ts'
export type { Stats } from './library/stats.ts'
export type { TableOptions } from './library/table-source.ts'
export type { SourceFunctions } from './source/functions-source.ts'
export type { FunctionContext } from './source/function-calls.ts'
export type { WhenStale } from './cache/keyspaces.ts'
