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
export type { WhenStale } from './server/settings.ts'
