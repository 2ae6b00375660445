// The commands of Redis 7.0 that are of a type or a feature that Tidemark does not have: by name, so that whoever sends
// one is told why there is none and what to do, instead of `unknown command`. They are not in the command table: COMMAND
// does not list them, and a client that looks there sees that they are missing.
// Not for: commands that exist (table.ts); a name is in one of the two.
import type { ErrorCode } from '../../base/errors.ts'

export interface UnsupportedGroup {
  /** What the commands are of, after "a command on" or "a command of". */
  readonly of: string
  readonly instead: string
  /** Upper case, apart by blanks. */
  readonly names: string
}

const BESIDE = 'keep such keys in a Redis or Valkey beside it'

export const unsupportedGroups: readonly UnsupportedGroup[] = [
  {
    of: 'on lists',
    instead: BESIDE,
    names:
      'BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM ' +
      'RPOP RPOPLPUSH RPUSH RPUSHX',
  },
  {
    of: 'on sets',
    instead: BESIDE,
    names:
      'SADD SCARD SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM ' +
      'SSCAN SUNION SUNIONSTORE',
  },
  {
    of: 'on sorted sets',
    instead: BESIDE,
    names:
      'BZMPOP BZPOPMAX BZPOPMIN ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ' +
      'ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ' +
      'ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE',
  },
  {
    of: 'on lists, sets and sorted sets',
    instead: BESIDE,
    names: 'SORT SORT_RO',
  },
  {
    of: 'on streams',
    instead: BESIDE,
    names: 'XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM',
  },
  {
    of: 'on HyperLogLogs',
    instead: BESIDE,
    names: 'PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST',
  },
  {
    of: 'on geographical sets',
    instead: BESIDE,
    names:
      'GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH ' +
      'GEOSEARCHSTORE',
  },
  {
    of: 'of scripts and functions',
    instead: 'run them in a Redis or Valkey beside it',
    names: 'EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO FUNCTION SCRIPT',
  },
  {
    of: 'of clusters',
    instead: 'connect to it as to a single server',
    names: 'ASKING CLUSTER READONLY READWRITE RESTORE-ASKING',
  },
  {
    of: 'of replication',
    instead: 'the database of record is the copy that lasts',
    names: 'FAILOVER PSYNC REPLCONF REPLICAOF ROLE SLAVEOF SYNC',
  },
  {
    of: 'of moving keys between servers',
    instead: 'move them one by one with DUMP and RESTORE',
    names: 'MIGRATE',
  },
  {
    of: 'of several databases',
    instead: 'there is only database 0; set keys apart by a prefix',
    names: 'SWAPDB',
  },
  {
    of: 'of the append-only file',
    instead: 'the database of record is what lasts',
    names: 'BGREWRITEAOF',
  },
  {
    of: 'of modules',
    instead: 'load them into a Redis or Valkey beside it',
    names: 'MODULE',
  },
  {
    of: 'that ends the server',
    instead: 'end its process, which writes a snapshot where one is set',
    names: 'SHUTDOWN',
  },
  {
    of: 'that shows all requests of all clients',
    instead: 'read /metrics or INFO',
    names: 'MONITOR',
  },
]

const CODE: ErrorCode = 'COMMAND_UNSUPPORTED'
const NAME_BYTES_MAX = 32

const groupsByName: ReadonlyMap<string, UnsupportedGroup> = new Map(
  unsupportedGroups.flatMap(group => group.names.split(' ').map(name => [name, group] as const)),
)

/** The error reply for the command that bytes[start, end) name, or undefined for a name that nobody knows. */
export function unsupportedError(bytes: Buffer, start: number, end: number): string | undefined {
  if (end - start > NAME_BYTES_MAX) return undefined
  const name = bytes.toString('latin1', start, end).toUpperCase()
  const group = groupsByName.get(name)
  if (group === undefined) return undefined
  return `${CODE} ${name} is a command ${group.of}: Tidemark stores strings and hashes; ${group.instead}`
}
