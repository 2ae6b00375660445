// What a user may set, as types, and what it comes to, checked. A mistake is an OPTION_INVALID that says what was got, what
// is allowed and which option it is. Not for: what the options do.
import type { Codec } from '../codec/codec.ts'
import type { CompressionOptions } from '../codec/compression.ts'
import type { KeyRing } from '../codec/encryption.ts'
import { structuredCodec } from '../codec/structured-codec.ts'
import { limits } from '../base/limits.ts'
import type { WhenStale } from '../cache/keyspaces.ts'
import type { Duration, Size } from '../config/units.ts'
import type { SourceFunctions } from '../source/functions-source.ts'
import { resolveBehind, type JournalOptions, type ResolvedBehind, type WriteMode } from './behind-options.ts'
import type { Key, KeyKind } from './key.ts'
import {
  resolveLoad,
  resolveOldValues,
  type LoadOptions,
  type OldValueOptions,
  type ResolvedLoad,
  type ResolvedOldValues,
} from './load-options.ts'
import { callable, durationOf, invalid, known, oneOf, sizeOf, within } from './option-checks.ts'
import type { StandardSchema } from './schema.ts'
import { isSession, type Session } from './session.ts'
import { TableSource } from './table-source.ts'
import type { TierOptions } from './tier-place.ts'

export type Clone = 'none' | 'structured' | 'freeze'

export interface NearOptions {
  /** Bytes of keys and values, estimated: the oldest that nobody reads leave first. */
  readonly maxSize?: Size | undefined
  /** Values; with `maxSize`, whichever is reached first. */
  readonly maxEntries?: number | undefined
}

export interface TidemarkOptions {
  /** The memory of this process, for all keyspaces together. */
  readonly near?: NearOptions | undefined
  /** The default of every keyspace whose source has a log. */
  readonly maxStaleness?: Duration | undefined
  readonly whenStale?: WhenStale | undefined
  /** The memory that processes share: `tidemark://host:port`, or `valkey://host:port`, of a cluster several nodes. */
  readonly tier?: string | readonly string[] | TierOptions | undefined
  /**
   * Whether this process may carry a database's changes to the tier: one of all that may does. False where a server does, or
   * where the database grants this process no replication. Without a tier it does in any case.
   */
  readonly tide?: boolean | undefined
  /** Values without a log are encrypted in the tier with the current one of these keys. */
  readonly encryption?: KeyRing | undefined
  /** Where keyspaces that write behind have their journals. */
  readonly journal?: JournalOptions | undefined
}

/** A keyspace's source: the rows of a table, or functions. */
export type KeyspaceSource<V = unknown> = TableSource | SourceFunctions<V>

export interface KeyspaceOptions<V, K extends Key = string> extends OldValueOptions {
  /** Without one, the keyspace holds what is put there, or built by `getOrSet`. */
  readonly source?: KeyspaceSource<V> | undefined
  /** For the types alone: `Number`, or `[String, Number]` for a composite key. Keys are strings unless said otherwise. */
  readonly key?: KeyKind<K> | undefined
  /**
   * When a write is acknowledged: once the source has it ('through'), or once a journal on this machine's disk has it, which then brings it
   * to the source ('behind': faster, and weaker).
   */
  readonly write?: WriteMode | undefined
  /** Any Standard Schema. Values are checked as they come from the source, and before they go there. */
  readonly schema?: StandardSchema<V> | undefined
  /** How long a value is kept at most. Of a source without a log: how old a value may be. */
  readonly ttl?: Duration | undefined
  /** How long it is remembered that the source has no such key; `ttl` unless said otherwise, and not at all without a source. */
  readonly missingTtl?: Duration | undefined
  /** Times to live are shortened at random by up to this share, so that what came together does not leave together. */
  readonly ttlJitter?: number | undefined
  /** How values are loaded, and what happens when that is slow or fails. */
  readonly load?: LoadOptions | undefined
  /** The oldest that an answer may be, as can be proved. 0 reads the source every time. */
  readonly maxStaleness?: Duration | undefined
  /** What happens when no answer can be proved that fresh. */
  readonly whenStale?: WhenStale | undefined
  /**
   * The session of all calls of this process that name none. true: one of the keyspace's own, in which no key goes back to what
   * it was before it was last seen or written here. A session of `tide.session()`: that one, which other keyspaces may
   * have too. For tables that are written through; others have no log to hold an answer against.
   */
  readonly session?: Session | boolean | undefined
  /** How values become bytes in a tier: `structuredCodec()` unless said otherwise. Rows of tables are JSON there. */
  readonly codec?: Codec<V> | undefined
  /** Values of some size are compressed in a tier. */
  readonly compress?: CompressionOptions | undefined
  /** Of the values' shape: values of another version in a tier read as absent. */
  readonly version?: number | undefined
  /**
   * What callers get: the object in memory itself, a copy of it, or the object itself, frozen deeply. Dates, bytes and what is
   * in a Map or a Set cannot be kept from changing that way; the objects in these are frozen.
   */
  readonly clone?: Clone | undefined
}

/** With a schema the source may show anything: it is checked. */
export interface CheckedKeyspaceOptions<V, K extends Key = string> extends Omit<KeyspaceOptions<V, K>, 'source'> {
  readonly source?: KeyspaceSource | undefined
  readonly schema: StandardSchema<V>
}

export interface CallOptions {
  readonly maxStaleness?: Duration | undefined
  readonly whenStale?: WhenStale | undefined
  /** Never older than what the session has seen or written. Instead of the keyspace's; false: of no session. */
  readonly session?: Session | false | undefined
  /** The call ends, rejecting with the signal's reason; what it began goes on for others. */
  readonly signal?: AbortSignal | undefined
}

export interface StoreOptions {
  readonly ttl?: Duration | undefined
  readonly tags?: readonly string[] | undefined
}

export interface WriteOptions extends Pick<CallOptions, 'session' | 'signal'>, StoreOptions {}

export interface BuildOptions
  extends Pick<CallOptions, 'signal'>, StoreOptions, Pick<OldValueOptions, 'swr' | 'staleIfError'> {}

/** What a call may say, for `known`. */
export const readMembers: readonly (keyof CallOptions)[] = ['maxStaleness', 'whenStale', 'session', 'signal']
export const writeMembers: readonly (keyof WriteOptions)[] = ['session', 'signal', 'ttl', 'tags']
export const buildMembers: readonly (keyof BuildOptions)[] = ['signal', 'ttl', 'tags', 'swr', 'staleIfError']

export interface ResolvedKeyspace extends ResolvedOldValues {
  readonly name: string
  readonly source: KeyspaceSource | undefined
  /** undefined: it writes through. */
  readonly behind: ResolvedBehind | undefined
  readonly schema: StandardSchema<unknown> | undefined
  readonly ttlMs: number | undefined
  readonly missingTtlMs: number | undefined
  readonly ttlJitter: number
  readonly load: ResolvedLoad
  /** Infinity: no bound. */
  readonly maxStalenessMs: number
  /** As the user has set it; Infinity where nobody has. */
  readonly explicitBoundMs: number
  readonly whenStale: WhenStale
  readonly session: Session | true | undefined
  readonly clone: Clone
  readonly codec: Codec
  readonly compress: CompressionOptions | undefined
  readonly version: number | undefined
}

const NAME = /^[A-Za-z0-9_.-]{1,64}$/
/** As an envelope has room for. */
const VERSION_MAX = 0xffff_ffff
export const whenStales: readonly WhenStale[] = ['source', 'serve', 'fail']
const clones: readonly Clone[] = ['none', 'structured', 'freeze']
const keyspaceMembers =
  'source write key schema ttl missingTtl ttlJitter swr staleIfError refreshAhead load maxStaleness whenStale session clone codec compress version'.split(
    ' ',
  )
const tidemarkMembers = 'near maxStaleness whenStale tier tide encryption journal'.split(' ')

export interface ResolvedNear {
  readonly maxEntries: number | undefined
  readonly maxBytes: number | undefined
}

/** Throws OPTION_INVALID. */
export function resolveNear(options: TidemarkOptions): ResolvedNear {
  known('options', '', options, tidemarkMembers)
  const { near = {}, maxStaleness, whenStale = 'source', tide = true, encryption, journal } = options
  if (journal !== undefined) known('journal', 'journal.', journal, ['directory'])
  known('near', 'near.', near, ['maxSize', 'maxEntries'])
  durationOf('maxStaleness', maxStaleness)
  oneOf('whenStale', whenStale, whenStales)
  if (encryption !== undefined) {
    known('encryption', 'encryption.', encryption, ['current', 'keys'])
    if (typeof encryption.keys !== 'object')
      throw invalid('encryption.keys', typeof encryption.keys, 'keys by their ids')
  }
  if (typeof tide !== 'boolean') throw invalid('tide', tide, 'true or false')
  const { maxEntries, maxSize } = near
  const maxBytes = maxSize === undefined ? undefined : sizeOf('near.maxSize', maxSize)
  if (maxEntries !== undefined) within('near.maxEntries', maxEntries, 1, limits.nearEntriesMax)
  // Without any bound it would grow until the process dies.
  if (maxEntries === undefined && maxBytes === undefined) return { maxEntries, maxBytes: limits.nearBytesDefault }
  return { maxEntries, maxBytes }
}

/** Throws OPTION_INVALID. */
export function resolveKeyspace<V, K extends Key>(
  name: string,
  options: KeyspaceOptions<V, K>,
  defaults: TidemarkOptions,
): ResolvedKeyspace {
  const path = `keyspace '${name}': `
  if (typeof name !== 'string' || !NAME.test(name)) throw invalid('a keyspace', name, '1 to 64 of A-Z a-z 0-9 _ . -')
  known(`${path}options`, path, options, keyspaceMembers)
  const { source, schema, codec = structuredCodec(), version } = options
  const isTable = source instanceof TableSource
  if (source !== undefined && !isTable) checkFunctions(`${path}source`, source)
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    throw invalid(`${path}schema`, schema, 'a Standard Schema, as those of zod, valibot and arktype are')
  }
  if (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function') {
    throw invalid(`${path}codec`, codec, 'a codec, such as structuredCodec() or jsonCodec()')
  }
  if (version !== undefined) within(`${path}version`, version, 0, VERSION_MAX)
  const behind = resolveBehind(name, options.write, source, defaults.journal)
  // A value that is only in the journal has no place in a log.
  const hasLog = isTable && behind === undefined
  const bound = options.maxStaleness ?? (hasLog ? defaults.maxStaleness : undefined)
  const { whenStale = defaults.whenStale ?? 'source', clone = 'none', ttlJitter = 0 } = options
  oneOf(`${path}whenStale`, whenStale, whenStales)
  oneOf(`${path}clone`, clone, clones)
  within(`${path}ttlJitter`, ttlJitter, 0, 1)
  const ttlMs = durationOf(`${path}ttl`, options.ttl) ?? defaultTtlMs(source, hasLog)
  const explicitBoundMs = durationOf(`${path}maxStaleness`, bound) ?? Infinity
  return {
    name,
    source,
    behind,
    schema,
    ttlMs,
    // What nobody builds is not there, and that is nothing to be remembered.
    missingTtlMs: durationOf(`${path}missingTtl`, options.missingTtl) ?? (source === undefined ? 0 : ttlMs),
    ttlJitter,
    ...resolveOldValues(path, options, hasLog),
    load: resolveLoad(path, options, source),
    explicitBoundMs,
    maxStalenessMs: bound === undefined && hasLog ? limits.maxStalenessMsDefault : explicitBoundMs,
    whenStale,
    session: resolveSession(`${path}session`, options.session, hasLog),
    clone,
    codec,
    compress: options.compress,
    version,
  }
}

function resolveSession(
  option: string,
  session: Session | boolean | undefined,
  hasLog: boolean,
): Session | true | undefined {
  if (session === undefined || session === false) return undefined
  if (session !== true && !isSession(session)) {
    throw invalid(option, session, 'true, false, or what tide.session() gives')
  }
  if (hasLog) return session
  const why = 'without a log there is nothing to hold an answer against, and each would come from the source'
  throw invalid(
    option,
    session === true ? true : 'a session',
    `nothing but for tables that are written through: ${why}`,
  )
}

function checkFunctions(option: string, source: SourceFunctions | null): void {
  if (typeof source?.load !== 'function') {
    throw invalid(option, source, 'a table of sqlite() or postgres(), or { load, store, remove }')
  }
  callable(`${option}.store`, source.store)
  callable(`${option}.remove`, source.remove)
}

// Functions have no log that would say that a value is old; what nobody but the cache has does not grow old.
function defaultTtlMs(source: KeyspaceSource | undefined, hasLog: boolean): number | undefined {
  if (source === undefined) return Infinity
  return hasLog ? undefined : limits.loglessTtlMsDefault
}
