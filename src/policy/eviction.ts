// S3-FIFO's decisions, without the memory they are about (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023): a small queue for what is new, a main queue for what was asked for again, and a ghost list of
// what left the small queue lately. Pure functions of numbers; store/segment-queues.ts carries them out.

/** The small queue's share of the segments that hold records. */
export const SMALL_SHARE = 0.1

/** A record's count of reads stops here: two bits. */
export const FREQUENCY_MAX = 3

/** Segments reclaimed in one go whose survivors are kept; after so many the next one goes without mercy. */
export const RECLAIM_TRIES_MAX = 4

/** Which queue gives up its oldest segment. */
export function queueToReclaim(smallSegments: number, mainSegments: number): 'small' | 'main' {
  if (smallSegments === 0) return 'main'
  if (mainSegments === 0) return 'small'
  return smallSegments > SMALL_SHARE * (smallSegments + mainSegments) ? 'small' : 'main'
}

/** The count of reads that a record of the oldest segment takes along into the main queue, or -1: it leaves. */
export function frequencyAfterReclaim(queue: 'small' | 'main', frequency: number): number {
  if (frequency === 0) return -1
  return queue === 'small' ? 0 : frequency - 1
}
