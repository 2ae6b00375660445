// The log of changes for lanes that are in this process's memory: nobody else moves them, so whoever holds the log meanwhile
// moves lanes of its own, and is not put out. Two servers without a common tier need a slot, or an outbox, each.
import { TidemarkError } from '../base/errors.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from '../source/change-feed.ts'

export class OwnFeed implements ChangeFeed {
  readonly #feed: ChangeFeed
  readonly #name: string

  constructor(feed: ChangeFeed, name: string) {
    this.#feed = feed
    this.#name = name
  }

  open(from: Position | undefined): Promise<FeedStart> {
    return this.#feed.open(from)
  }

  next(): Promise<readonly FeedItem[]> {
    return this.#feed.next()
  }

  snapshot(): Promise<FeedSnapshot> {
    return this.#feed.snapshot()
  }

  heartbeat(): Promise<void> {
    return this.#feed.heartbeat()
  }

  confirm(position: Position): void {
    this.#feed.confirm(position)
  }

  evict(): Promise<void> {
    const message =
      `database '${this.#name}': another process reads its changes. Servers that share no tier need a slot each: ` +
      `databases.${this.#name}.slot`
    return Promise.reject(new TidemarkError('FEED_TAKEN', message))
  }

  close(): Promise<void> {
    return this.#feed.close()
  }
}
