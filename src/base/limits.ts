// Every bound of the system, in one place, with its unit in its name. A bound that depends on another is asserted
// against it below, so that a change of one cannot silently break the other.
import { assert } from './assert.ts'

export const limits = {
  // wire
  /** Arguments in one request, the command's name included (Redis: 1024 * 1024). */
  argumentsMax: 1_048_576,
  /** Bytes of an inline request or of a length line (Redis: PROTO_INLINE_MAX_SIZE). */
  inlineBytesMax: 65_536,
  /** Bytes of one argument; a value of the largest size and some more, so that the refusal can name the key. */
  argumentBytesMax: 67_174_400,
  /** Bytes of one whole request. */
  requestBytesMax: 268_435_456,
  /** Arguments and bytes that a connection may send before it has authenticated (Redis: 10 and 16 KiB). */
  unauthenticatedArgumentsMax: 10,
  unauthenticatedArgumentBytesMax: 16_384,
  /** Reply bytes waiting for one connection's reader; past it, its requests wait. */
  replyBacklogBytesMax: 4_194_304,
  /** Bytes of messages and replies waiting for a subscriber; past it, it is closed (Redis: 32 MiB). */
  messageBacklogBytesMax: 33_554_432,
  /** Bytes of the receive buffer that all connections of one thread share. */
  receiveBufferBytes: 524_288,

  // store
  /** The smallest and the largest memory budget. */
  memoryBytesMin: 1_048_576,
  memoryBytesMax: 17_179_869_184,
  keyBytesMax: 65_535,
  valueBytesMax: 67_108_864,
  /** A record may take this share of the budget: 1/8. */
  recordShareOfMemory: 8,
  segmentBytesMin: 4_096,
  segmentBytesMax: 262_144,
  shardsMax: 64,
  threadsMax: 128,

  // near
  /** Entries of one pool of objects. A Map that keys come to and leave runs into its own limit above. */
  nearEntriesMax: 8_388_608,
  /** How long a reading of the clock counts for the times to live of objects, while the event loop turns. */
  nearClockMs: 1,
  /** Of a process's memory when neither `maxSize` nor `maxEntries` is set. */
  nearBytesDefault: 268_435_456,
  /** Values whose time is over are looked for: how often, and among how many entries each time. */
  nearSweepEveryMs: 100,
  nearSweepEntries: 2_000,
  /** Values that the tier and a process cannot hand each other are told of so often at most, for each keyspace and reason. */
  valueToldEveryMs: 60_000,
  /** Keys of one keyspace of which its session knows what was seen last. */
  sessionKeysMax: 16_384,
  /** Databases that the ticket of a session names. */
  sessionTicketsMax: 16,

  // journal
  /** A file of the journal is followed by another from so many bytes on. */
  journalFileBytesMax: 16_777_216,
  /** Bytes of all its files; past it, writes are refused (JOURNAL_FULL). */
  journalBytesMax: 268_435_456,
  /** Bytes that are synced together, unless one append has more. */
  journalGroupBytesMax: 4_194_304,
  /** Bytes of one append. */
  journalAppendBytesMax: 134_217_728,

  // writing behind
  /** Keys that may wait for the source, by default and at most; past it, writes are refused (JOURNAL_FULL). */
  behindPendingDefault: 10_000,
  behindPendingMax: 1_000_000,
  /** How long a write waits for others to go with it. */
  behindDelayMs: 100,
  /** Writes of one call to the source, by default and at most. */
  behindBatchDefault: 100,
  behindBatchMax: 10_000,
  /** After a failure the source is tried again after so long, at first and at most. */
  behindRetryMs: 100,
  behindRetryMaxMs: 30_000,
  /** A write that was refused so often, while the source took others, is given up. */
  behindAttempts: 20,
  /** How long `close` waits for the source to take what it has not taken yet. */
  behindCloseMs: 5_000,

  // values in a shared tier
  /** Encoded values of fewer bytes are not compressed, unless the keyspace says otherwise. */
  compressionFromBytes: 4_096,
  /** What compression leaves must be at most this share of what there was; otherwise the value stays as it is. */
  compressedShareMax: 0.9,
  /** Tags of one value, and the bytes of a tag's name. */
  tagsPerValueMax: 64,
  tagBytesMax: 255,
  /** Bytes of the id of an encryption key. */
  keyIdBytesMax: 64,
  /** Values that one process encrypts with one key: with random nonces no more are safe (NIST SP 800-38D, 8.3). */
  encryptionsPerKeyMax: 4_294_967_296,

  // coherence
  lanesMax: 4096,
  lanesDefault: 64,
  /** Of a source in one process of the library: with fewer, more writes at once are told from one another by less. */
  libraryLanes: 16,
  /** Changes that a lane's header remembers. */
  recentChangesMax: 32,
  /** How long a key is left to whoever loads it; he holds it for longer, again and again, while his load is under way. */
  leaseMs: 2_000,
  /** For a build without a `load.timeout`: one that takes longer is begun a second time by whoever asks then. */
  buildPatienceMs: 30_000,
  stampBytesMax: 512,
  /** Transactions in progress that a snapshot names; with more of them, only those below xmin count as seen. */
  snapshotInProgressMax: 16,
  /** Samples of a database's position that a node keeps for its proofs. */
  freshnessSamplesMax: 64,
  /** How far back they reach: a mark that lags further proves nothing. */
  freshnessReachMs: 600_000,

  // the tide
  /** How often the lanes' marks move when nothing is written. */
  tideHeartbeatMs: 50,
  /** While changes come, the marks move in so many portions of all lanes, with a pause after each: a change passes between them. */
  tidePortions: 8,
  tidePortionPauseMs: 1,
  /** So long after the last change they still do. */
  tidePortionsForMs: 1_000,
  /** What all lanes have applied is confirmed to the database after so long: a tier's failover may ask for it again. */
  tideRetentionMs: 60_000,
  /** Changes that are kept for lanes that have not applied them yet, or that are taken back by a failover of the tier. */
  tideMemoryChangesMax: 131_072,
  /** Transactions that are kept for them. */
  tideMemoryTransactionsMax: 65_536,
  /** Changes that one step applies to a lane; a transaction with more of them in one lane is applied in parts. */
  tideApplyChangesMax: 512,
  /** A transaction that new queries do not see yet is looked for again after so long, at first and at most. */
  tideGateRetryMs: 1,
  tideGateRetryMaxMs: 20,
  /** A lane whose tier does not answer is tried again after so long, at first and at most. */
  tideLaneRetryMs: 10,
  tideLaneRetryMaxMs: 500,
  /** A lane that waits for an answer for so long counts as unreachable: it holds back nothing but itself any more. */
  tideLaneStuckMs: 1_000,
  /** How long a lane that was taken back too far waits for others, before the log is read again for them. */
  tideReplayDelayMs: 100,
  /** How often the log may be read again for such lanes; those that come in between are begun anew. */
  tideReplayEveryMs: 5_000,
  /** A heartbeat that was committed and does not come back for so long: the hold on the log is worth nothing. */
  tideStallMs: 30_000,
  /** The hold on the log, once lost, is taken again after so long, at first and at most. */
  tideReopenMs: 50,
  tideReopenMaxMs: 1_000,
  /** The same where the database answers and refuses: somebody has to see to it. */
  tideRefusedMs: 5_000,
  /** The same after lanes of another epoch turned up: somebody else runs a tide over them. */
  tideSupersededMs: 1_000,
  tideSupersededMaxMs: 60_000,
  /** How often one that may run the tide looks whether the one that does still moves, and at how many lanes. */
  tideWatchMs: 100,
  tideWatchLanes: 4,
  /** Marks that stood still for so long: is the log free? */
  tideStillMs: 300,
  /** Marks that stood still for so long: the holder is put out, the first time and after many times in vain. */
  tideEvictMs: 1_000,
  tideEvictMaxMs: 60_000,

  // sources and cache
  loadBatchMax: 512,
  /** A database whose thread died, and that could not be opened again, is tried again after so long. */
  sourceReopenMs: 1_000,
  /** How long a reader waits for another process's or thread's load before it loads by itself, where a source says nothing else. */
  fillWaitMs: 250,
  /** When so many of a keyspace's looks at the tier find nothing, each takes a lease along. Over so many looks, about. */
  absentShareMin: 0.25,
  absentShareLooks: 32,
  sourceTimeoutMs: 10_000,
  /** A load that failed is tried again after so long, at first and at most, where its keyspace says that it is. */
  loadRetryMs: 50,
  loadRetryMaxMs: 1_000,
  /** Attempts after the first, at most. */
  loadRetriesMax: 10,
  /** Failures that a circuit breaker may be set to wait for. */
  breakerFailuresMax: 1_000,
  /** Queries under way that a keyspace may be set to have. */
  loadConcurrencyMax: 10_000,
  /** Keys whose load failed lately, of one keyspace: what is known of them. */
  failedLoadsMax: 10_000,
  /** A key whose load fails again and again is loaded after so long, at first and at most. */
  failedLoadPauseMs: 50,
  failedLoadPauseMaxMs: 1_000,
  /** A failure that is so long past its pause is not followed by the next one. */
  failedLoadForgetMs: 10_000,
  /** Queries for loads that one process has under way in a database. */
  sourceLoadsMax: 16,
  /** Rows that wait for one of them to end; past it, reads are refused (SOURCE_OVERLOADED). */
  sourceWaitingRowsMax: 16_384,
  /** Keys of one call that are asked for at a time: others want to wait too. */
  keysAtOnceMax: 4_096,
  /** How long a shared tier may take over one call before the call goes on without it. */
  tierTimeoutMs: 250,
  /** A server of the tier that was silent for so long is asked whether it is there. */
  tierPingMs: 200,
  /** One that does not answer that for so long is not there: the connection is given up. */
  tierSilentMs: 500,
  /** How long connecting to one may take, its greeting included. */
  tierConnectMs: 1_000,
  /** A connection that failed is tried again after so long, at first and at most. */
  tierReconnectMs: 50,
  tierReconnectMaxMs: 500,
  /** How often a cluster is asked who serves which slot: while something is wrong, and otherwise. */
  tierSlotsRetryMs: 100,
  tierSlotsMs: 5_000,
  /** Times that one call follows a cluster's redirection. */
  tierRedirectsMax: 8,
  /** How long a call waits before it asks again a server that says "not now". */
  tierTryAgainMs: 10,
  /** How long a command on a key that is no row may take on the servers of the tier. */
  plainTimeoutMs: 2_000,
  /** Records that nobody gave a time to live have this one: without any, they could never be evicted. */
  tierTtlMsDefault: 86_400_000,
  /** A lane whose tier did not answer is left alone for so long, but for one call. */
  tierRetryMs: 100,
  /** How long values of a source without a log are kept, where nobody says: nothing tells of what is changed around them. */
  loglessTtlMsDefault: 60_000,
  /** What says of which edition a keyspace is stays in the tier for so long, and is looked for as often while it is in use. */
  editionTtlMs: 31_536_000_000,
  editionSeenEveryMs: 10_000,
  /** How long a write to a source without a log may take before others load its key again. */
  fenceMs: 15_000,
  /** How often a node asks its sources for their positions, and how long it waits for an answer. */
  sampleEveryMs: 50,
  sampleTimeoutMs: 1_000,
  /** Wall and monotonic clock apart by more than before: the machine was suspended, or its time was set. */
  clockJumpMs: 50,
  /** Connections to Postgres for loads and writes, by default. */
  postgresConnectionsMax: 10,
  /** How long the query for a position may take: one that is later proves little. Also how often enums are looked at again. */
  postgresPositionTimeoutMs: 2_000,
  /** Keys that one transaction of the log may change; one with more begins all lanes anew. */
  transactionKeysMax: 262_144,
  /** Changes read ahead of whoever reads the log; past it, the database waits. */
  feedReadAheadMax: 16_384,
  /** How often an outbox is looked at when no NOTIFY comes. */
  outboxPollMs: 25,
  /** How often the database is told that its log is still read, and asked for a sign of life. */
  feedStatusMs: 1_000,
  /** A database that is silent for so long, though asked: the hold on its log is worth nothing. */
  feedSilenceMs: 10_000,
  sqliteBusyTimeoutMs: 5_000,
  sqlitePollMs: 25,
  /** Row writes that are committed to SQLite together, and so the longest that loads wait behind them. */
  sqliteGroupWritesMax: 1_024,
  maxStalenessMsDefault: 500,

  // commands
  /** What one LCS may compare: the product of both values' lengths. Each takes two bytes for the time of the command. */
  lcsCellsMax: 16_777_216,
  /** A hash of more fields is iterated (HSCAN) in parts. */
  hashFieldsAtOnceMax: 128,
  /** Bytes of the reply to a command that may name a field many times (HRANDFIELD with a negative count). */
  repeatedReplyBytesMax: 67_108_864,
  /** Commands queued by one MULTI, and the bytes of their arguments. */
  transactionCommandsMax: 1_048_576,
  transactionBytesMax: 268_435_456,

  // server
  /** Entries that one thread keeps of slow commands, whatever slowlog-max-len says, and of latency events (Redis: 160). */
  slowLogMax: 4_096,
  latencySamplesMax: 160,
  /** How often a client that CLIENT PAUSE holds looks again. */
  pauseLookMs: 10,
  /** Keys that the clients of one thread track (Redis: tracking-table-max-keys); past it, the oldest is given up. */
  trackedKeysMax: 1_000_000,
  connectionsMax: 10_000,
  /** Each server thread sweeps so many buckets of every shard for expired records, so often. */
  sweepBuckets: 16,
  sweepEveryMs: 100,
  /** Server threads that may die within a minute before the server gives up. */
  threadDeathsPerMinuteMax: 10,
  /** How much longer than the drain a server thread may take to end before it is ended. */
  threadStopMs: 2_000,
  drainMs: 5_000,
} as const

assert(limits.argumentBytesMax > limits.valueBytesMax, 'a value of the largest size fits an argument')
assert(limits.requestBytesMax > limits.argumentBytesMax, 'a request holds an argument of the largest size')
assert(
  limits.keyBytesMax < limits.recordShareOfMemory ** -1 * limits.memoryBytesMin,
  'a record with the longest key fits the smallest memory',
)
assert(limits.journalBytesMax >= 4 * limits.journalFileBytesMax, 'a full journal has files to let go of')
assert(limits.journalAppendBytesMax > limits.valueBytesMax + limits.keyBytesMax, 'a value of the largest size is taken')
assert(
  limits.tidePortions * limits.tidePortionPauseMs < limits.tideHeartbeatMs / 2,
  'all marks have moved long before the next heartbeat',
)
assert(limits.tideReplayDelayMs < limits.tideReplayEveryMs, 'lanes that come back together share a replay')
assert(limits.tideStillMs >= 4 * limits.tideHeartbeatMs, 'a late heartbeat is not taken for a holder that is gone')
assert(limits.tideEvictMs > limits.tideStillMs, 'a log that is free is taken before its holder is put out')
assert(limits.maxStalenessMsDefault >= 4 * limits.tideHeartbeatMs, 'a late heartbeat does not trip the default bound')
assert(limits.fenceMs > limits.sourceTimeoutMs, 'a fence outlives the write that it is for')
assert(limits.maxStalenessMsDefault >= 4 * limits.sampleEveryMs, 'a late sample does not trip the default bound')
assert(limits.maxStalenessMsDefault >= 4 * limits.sqlitePollMs, 'a late poll does not trip the default bound')
assert(limits.tagsPerValueMax <= 255, 'the number of tags fits a byte')
assert(limits.tagBytesMax <= 255 && limits.keyIdBytesMax <= 255, 'lengths of tags and key ids fit a byte')
assert(limits.lcsCellsMax < 65_536 ** 2, 'a common subsequence is shorter than 16 bits count')
