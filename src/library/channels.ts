// What the library tells, on Node's diagnostics channels too: `tidemark.hit`, `tidemark.load` and so on, for those who watch a
// process without having its objects. Each message is the event of that name (events.ts).
import { channel, type Channel } from 'node:diagnostics_channel'

const names = ['hit', 'miss', 'load', 'fill', 'write', 'invalidate', 'evict', 'stale', 'error'] as const

/** A channel for each event. Nobody subscribed costs a comparison. */
export function eventChannels(): Readonly<Record<(typeof names)[number], Channel>> {
  return Object.fromEntries(names.map(name => [name, channel(`tidemark.${name}`)])) as Record<
    (typeof names)[number],
    Channel
  >
}
