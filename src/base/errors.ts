// Everything a user can be refused with, in one table. The code is stable and is also the first word of the reply over
// the Redis protocol; the message of each occurrence says what was got, what is allowed, and which setting changes it.
// Expected outcomes (a miss, a refused fill) are return values, and broken invariants are assertions: neither is here.

export const errorTable = {
  CONFIG_INVALID:
    'The configuration file, a flag or an environment variable has a mistake; each is listed with its path.',
  OPTION_INVALID: 'An option given to the library is not allowed; the message says which, and what is.',
  KEY_INVALID: 'A key is of a kind that keys cannot be.',
  VALUE_INVALID: 'A value is not as the schema of its keyspace says, or is undefined.',
  NODE_TOO_OLD: 'Node is older than Tidemark needs.',
  ADDRESS_TAKEN: 'Another process listens on the address already.',
  ADDRESS_REFUSED: 'The address cannot be listened on.',
  PASSWORD_REQUIRED: 'Only loopback addresses are listened on while no password is set.',
  DATA_LOCKED: 'Another server uses the data folder or the snapshot.',
  DATA_UNWRITABLE: 'The data folder or a file in it cannot be written.',
  SETUP_FAILED: "The configuration's own set-up of a database failed.",
  SNAPSHOT_UNWRITABLE: 'The snapshot cannot be written where the setting says.',
  SNAPSHOT_UNREADABLE: 'The snapshot is there and cannot be read.',
  SNAPSHOT_OFF: 'No path for snapshots is set.',
  SNAPSHOT_FAILED: 'A snapshot could not be written; the one before stays.',
  SOURCE_UNAVAILABLE: 'The database of record cannot be reached or opened.',
  SOURCE_BUSY: 'The database of record stayed locked by someone else for too long.',
  SOURCE_TIMEOUT: 'The database of record did not answer in time; whether a write took place is not known.',
  SOURCE_OVERLOADED: 'More reads wait for the database of record than the limit.',
  SOURCE_FAILED: 'The database of record reported an error.',
  SOURCE_ANSWER: 'A function that loads values answered with something else, or for ids that it was not asked for.',
  SOURCE_BREAKER:
    'The source of a keyspace failed too often in a row and is left alone for a while; the cause is kept.',
  SOURCE_PARTLY:
    'Of several writes to functions, which know no transaction, some took place and others failed; the cause is kept.',
  FEED_TAKEN: "Another process reads the database's log of changes: there is one reader at a time.",
  FEED_LOST: "The hold on the database's log of changes is gone; it has to be taken anew.",
  FEED_SETUP: "The database's log of changes cannot be read, or not whole; the message says what to run, and as whom.",
  TIER_UNAVAILABLE:
    'The shared memory cannot be reached, or did not answer in time; whether it did what was asked is not known.',
  TIER_SETUP:
    'The servers of the shared memory have a setting that it cannot work well with; the message says what to set.',
  TIER_MISMATCH: 'The shared memory was set up by another version, or with another number of lanes.',
  MAPPING_INVALID: 'A table cannot be mapped to a keyspace.',
  ROW_INVALID:
    'A value does not fit its table: unknown column, wrong type, or a broken constraint. Nothing was changed.',
  ROW_KEY_INVALID:
    "A key names no keyspace where only rows are meant, or its id does not spell the table's key columns.",
  ROW_KEY_COLUMN: 'Key columns of a row cannot be changed.',
  ROW_TTL: 'Row keys have no expiry: the row lives as long as the database keeps it.',
  ROW_OPERATION: 'The operation does not exist for row keys.',
  COMMAND_UNSUPPORTED:
    'A command of Redis for a data type or a feature that Tidemark does not have: it stores strings and hashes.',
  CROSS_SOURCE: 'One command writes to more than one database, which could not be one transaction.',
  TRANSACTION_ROWS: 'Row keys are used in MULTI or WATCH in a way that could not be one transaction.',
  TRANSACTION_TOO_LARGE: 'More is queued in MULTI than the limit.',
  JOURNAL_LOCKED: 'Another process uses the journal of writes.',
  JOURNAL_DAMAGED:
    'A file of the journal of writes was changed or lost behind its back; the message says where, and what can be done.',
  JOURNAL_FAILED:
    'The disk failed the journal of writes. What was not acknowledged may be in it or not; nothing is taken until it is opened again.',
  JOURNAL_UNREADABLE: "The journal of writes holds values that the keyspace's codec, or its keys, cannot read.",
  WRITE_GIVEN_UP: 'A write that was acknowledged was refused by its source again and again; it is not in it.',
  JOURNAL_FULL: 'The journal of writes holds as much as it may: the source has to take some of it first.',
  STALE: 'No answer can be proved as fresh as asked for, and the keyspace is set to fail then.',
  VALUE_TOO_LARGE: 'A key or value is larger than the limit.',
  VALUE_REFUSED:
    'The shared memory did not keep a value: it is full, or takes nothing so large. Each process loads it by itself.',
  VALUE_UNENCODABLE: 'A value cannot be turned into bytes by the codec of its keyspace.',
  VALUE_UNDECODABLE:
    'A value in the shared memory is of no use to this process: of another codec, version or key, damaged, or not as the schema says. It is loaded anew.',
  CODEC_INVALID:
    'The settings of a codec, of compression or of encryption have a mistake, or a package that a codec needs is not installed.',
  ENCRYPTION_KEY_WORN: 'An encryption key was used as often as is safe; the ring needs another current key.',
  TAG_INVALID: 'A tag is empty or too long, or a value has too many of them.',
  MEMORY_FULL: 'The record does not fit in memory.',
  THREADS_DIED: 'Threads died faster than it makes sense to replace them.',
  SHUTTING_DOWN: 'The server is closing.',
} as const

export type ErrorCode = keyof typeof errorTable

/** The one error class that users meet. `code` is stable; `cause` keeps what led to it. */
export class TidemarkError extends Error {
  override readonly name = 'TidemarkError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** A plain object that survives postMessage between threads; see fromJSON. */
  toJSON(): { code: ErrorCode; message: string } {
    return { code: this.code, message: this.message }
  }

  static fromJSON(json: { code: ErrorCode; message: string }): TidemarkError {
    return new TidemarkError(json.code, json.message)
  }
}

/** The error's message, for values of unknown type that were thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
