// Counters of one keyspace, and of all of a process. Plain numbers: a hit adds one and does nothing else.
import type { BehindStats } from './behind-source.ts'

export interface Stats {
  /** Answers out of this process's memory, and those that were not. */
  readonly hits: number
  readonly misses: number
  /** Values that the source was asked for, and those that it failed to give. */
  readonly loads: number
  readonly loadErrors: number
  /** Values written, or removed, through the cache. */
  readonly writes: number
  /** Answers older than their bound or their time, given as `whenStale`, `swr`, `staleIfError` or a fallback allow. */
  readonly stale: number
  /** Values of the tier that were of no use here: of another codec, version or key, damaged, or not as the schema says. */
  readonly undecodable: number
  /** Values that the tier did not keep: it is full, they are too large for it, or they cannot be turned into bytes. */
  readonly unkept: number
  /** hits / (hits + misses); NaN before the first. */
  readonly hitRatio: number
  /** Values in this process's memory. */
  readonly entries: number
  /** Of keyspaces that write behind, once they are open. */
  readonly behind?: BehindStats | undefined
}

export class Counts {
  hits = 0
  misses = 0
  loads = 0
  loadErrors = 0
  writes = 0
  stale = 0
  undecodable = 0
  unkept = 0

  loaded(rows: number, failed: boolean): void {
    if (failed) this.loadErrors += rows
    else this.loads += rows
  }

  stats(entries: number): Stats {
    const { hits, misses, loads, loadErrors, writes, stale, undecodable, unkept } = this
    return {
      hits,
      misses,
      loads,
      loadErrors,
      writes,
      stale,
      undecodable,
      unkept,
      hitRatio: hits / (hits + misses),
      entries,
    }
  }
}

/** Of several keyspaces. */
export function sumOf(all: readonly Stats[]): Stats {
  const sum = (of: (stats: Stats) => number): number => all.reduce((total, each) => total + of(each), 0)
  const hits = sum(each => each.hits)
  const misses = sum(each => each.misses)
  return {
    hits,
    misses,
    loads: sum(each => each.loads),
    loadErrors: sum(each => each.loadErrors),
    writes: sum(each => each.writes),
    stale: sum(each => each.stale),
    undecodable: sum(each => each.undecodable),
    unkept: sum(each => each.unkept),
    hitRatio: hits / (hits + misses),
    entries: sum(each => each.entries),
    ...behindOf(all),
  }
}

function behindOf(all: readonly Stats[]): Pick<Stats, 'behind'> {
  const each = all.map(({ behind }) => behind).filter(behind => behind !== undefined)
  if (each.length === 0) return {}
  const sum = (of: (stats: BehindStats) => number): number => each.reduce((total, one) => total + of(one), 0)
  const behind = {
    pending: sum(({ pending }) => pending),
    oldestPendingMs: Math.max(...each.map(({ oldestPendingMs }) => oldestPendingMs)),
    retries: sum(({ retries }) => retries),
    givenUp: sum(({ givenUp }) => givenUp),
    journalBytes: sum(({ journalBytes }) => journalBytes),
  }
  return { behind }
}
