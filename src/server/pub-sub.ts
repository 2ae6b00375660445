// Who of one thread's clients listens to which channels, and the delivery of messages to them. Channels are strings of one
// character a byte (latin1), so that any bytes are a channel. What other threads' clients listen to is asked of those threads
// (peers.ts), and only when live-state.ts says that there may be some.
// Not for: the commands (commands/pubsub.ts).
import { globMatches } from '../base/glob.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'
import { type Client, specialOf } from './client.ts'
import type { LiveState } from './live-state.ts'
import { ClientMode } from './special-state.ts'

/** Sharded channels are channels of their own. */
export type ChannelKind = 'channel' | 'shard'

interface PatternListeners {
  readonly pattern: Buffer
  readonly clients: Set<Client>
}

export class PubSub {
  readonly #thread: number
  readonly #live: LiveState
  readonly #channels = new Map<string, Set<Client>>()
  readonly #shardChannels = new Map<string, Set<Client>>()
  readonly #patterns = new Map<string, PatternListeners>()
  readonly #out = new ReplyWriter(1024)

  constructor(thread: number, live: LiveState) {
    this.#thread = thread
    this.#live = live
  }

  #listeners(kind: ChannelKind): Map<string, Set<Client>> {
    return kind === 'channel' ? this.#channels : this.#shardChannels
  }

  subscribe(client: Client, kind: ChannelKind, channel: string): void {
    const state = specialOf(client)
    const own = kind === 'channel' ? state.channels : state.shardChannels
    if (own.has(channel)) return
    own.add(channel)
    client.modes |= ClientMode.subscribed
    const all = this.#listeners(kind)
    const clients = all.get(channel)
    if (clients === undefined) all.set(channel, new Set([client]))
    else clients.add(client)
    this.#live.countChannel(this.#thread, channel, 1)
  }

  unsubscribe(client: Client, kind: ChannelKind, channel: string): void {
    const state = specialOf(client)
    const own = kind === 'channel' ? state.channels : state.shardChannels
    if (!own.delete(channel)) return
    const all = this.#listeners(kind)
    const clients = all.get(channel)!
    clients.delete(client)
    if (clients.size === 0) all.delete(channel)
    this.#live.countChannel(this.#thread, channel, -1)
    this.#leaveMode(client)
  }

  subscribePattern(client: Client, pattern: string): void {
    const { patterns } = specialOf(client)
    if (patterns.has(pattern)) return
    patterns.add(pattern)
    client.modes |= ClientMode.subscribed
    const listeners = this.#patterns.get(pattern)
    if (listeners === undefined) {
      this.#patterns.set(pattern, { pattern: Buffer.from(pattern, 'latin1'), clients: new Set([client]) })
    } else listeners.clients.add(client)
    this.#live.countPattern(this.#thread, 1)
  }

  unsubscribePattern(client: Client, pattern: string): void {
    if (!specialOf(client).patterns.delete(pattern)) return
    const { clients } = this.#patterns.get(pattern)!
    clients.delete(client)
    if (clients.size === 0) this.#patterns.delete(pattern)
    this.#live.countPattern(this.#thread, -1)
    this.#leaveMode(client)
  }

  #leaveMode(client: Client): void {
    const { channels, patterns, shardChannels } = client.special!
    if (channels.size + patterns.size + shardChannels.size === 0) client.modes &= ~ClientMode.subscribed
  }

  /** Ends all of a client's subscriptions, without telling it. */
  leave(client: Client): void {
    const state = client.special
    if (state === undefined) return
    for (const channel of state.channels) this.unsubscribe(client, 'channel', channel)
    for (const channel of state.shardChannels) this.unsubscribe(client, 'shard', channel)
    for (const pattern of state.patterns) this.unsubscribePattern(client, pattern)
  }

  /** Sends a message to this thread's listeners; returns how many there were. */
  deliver(kind: ChannelKind, channel: string, message: Uint8Array): number {
    let count = 0
    const word = kind === 'channel' ? 'message' : 'smessage'
    const bytes = Buffer.from(channel, 'latin1')
    const frames = new Map<number, Buffer>()
    for (const client of this.#listeners(kind).get(channel) ?? []) {
      client.push(this.#frame(frames, client.resp, [word], bytes, message))
      count++
    }
    if (kind === 'shard') return count
    for (const [name, { pattern, clients }] of this.#patterns) {
      if (!globMatches(pattern, bytes)) continue
      frames.clear()
      for (const client of clients) {
        client.push(this.#frame(frames, client.resp, ['pmessage', name], bytes, message))
        count++
      }
    }
    return count
  }

  // Made once for each protocol version; nobody writes into it any more.
  #frame(made: Map<number, Buffer>, resp: 2 | 3, words: string[], channel: Buffer, message: Uint8Array): Buffer {
    let frame = made.get(resp)
    if (frame === undefined) {
      const out = this.#out
      out.recycle()
      out.resp = resp
      out.push(words.length + 2)
      for (const word of words) out.bulk(Buffer.from(word, 'latin1'))
      out.bulk(channel)
      out.bulk(message)
      frame = Buffer.from(out.buffer.subarray(0, out.length))
      made.set(resp, frame)
    }
    return frame
  }

  othersListen(channel: string): boolean {
    return this.#live.othersListen(this.#thread, channel)
  }

  channels(kind: ChannelKind): string[] {
    return [...this.#listeners(kind).keys()]
  }

  listeners(kind: ChannelKind, channel: string): number {
    return this.#listeners(kind).get(channel)?.size ?? 0
  }

  patterns(): string[] {
    return [...this.#patterns.keys()]
  }
}
