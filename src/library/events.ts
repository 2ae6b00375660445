// What the library tells of what it does, typed: to those who listen here, and on Node's diagnostics channels
// (channels.ts). Nobody listening costs a comparison or two.
// Not for: counting (stats.ts), spans and metrics (telemetry.ts).
import type { Channel } from 'node:diagnostics_channel'
import { eventChannels } from './channels.ts'
import { needed, oneOf } from './option-checks.ts'

export interface TidemarkEvents {
  /** An answer out of this process's memory. */
  hit: { readonly keyspace: string; readonly key: string }
  /** It was not there, or not fresh enough; told once it is answered. */
  miss: { readonly keyspace: string; readonly key: string }
  /** The source was asked for values, in one call. */
  load: { readonly keyspace: string; readonly keys: readonly string[]; readonly ms: number; readonly error?: unknown }
  /** A value that was loaded or built is in memory, or in the tier, now. */
  fill: { readonly keyspace: string; readonly key: string }
  /** Values were written, or removed, through the cache. */
  write: { readonly keyspace: string; readonly keys: readonly string[] }
  /** Values were given up because somebody asked for it. No keys: all of them. */
  invalidate: { readonly keyspace: string; readonly keys: readonly string[] }
  /** A value left to make room, or because its time was over, or because something happened to it elsewhere. */
  evict: { readonly keyspace: string; readonly key: string; readonly reason: 'room' | 'expired' | 'dead' }
  /** An answer older than its bound was given, as was allowed. */
  stale: { readonly keyspace: string; readonly key: string; readonly ageMs: number }
  /** Something went wrong that no call was told of, or was told of and went on all the same. */
  error: {
    readonly keyspace: string | undefined
    readonly error: unknown
    /** Of a write that was given up (WRITE_GIVEN_UP): what is lost; the value is undefined for a removal. */
    readonly key?: string
    readonly value?: unknown
  }
}

export type EventName = keyof TidemarkEvents
export type Listener<Name extends EventName> = (event: TidemarkEvents[Name]) => void

/** Those who hear one kind of event, here and on its channel. */
export class Ear {
  readonly channel: Channel
  readonly #listeners = new Set<Listener<EventName>>()
  // Of the set, at hand for those who ask at each call.
  #hasListeners = false

  constructor(channel: Channel) {
    this.channel = channel
  }

  /** Whether an event is worth making. */
  get isHeard(): boolean {
    return this.#hasListeners || this.channel.hasSubscribers
  }

  get listeners(): Iterable<Listener<EventName>> {
    return this.#listeners
  }

  add(listener: Listener<EventName>): void {
    this.#listeners.add(listener)
    this.#hasListeners = true
  }

  delete(listener: Listener<EventName>): void {
    this.#listeners.delete(listener)
    this.#hasListeners = this.#listeners.size > 0
  }
}

export class Events {
  readonly #ears: Readonly<Record<EventName, Ear>> = earsOf(eventChannels())

  /** Returns what ends it. Throws OPTION_INVALID. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>): () => void {
    oneOf('event', name, Object.keys(this.#ears))
    needed('listener', listener)
    const ear = this.#ears[name]
    // A wrapper, so that a listener that was added twice is called twice, and removed once by each.
    const own = (event: TidemarkEvents[EventName]): void => listener(event as TidemarkEvents[Name])
    ear.add(own)
    return () => ear.delete(own)
  }

  /** For whoever asks at each call. */
  ear(name: EventName): Ear {
    return this.#ears[name]
  }

  /** Whether an event is worth making. */
  has(name: EventName): boolean {
    return this.#ears[name].isHeard
  }

  /** A listener that throws is told of as an error, and holds up nobody. */
  emit<Name extends EventName>(name: Name, event: TidemarkEvents[Name]): void {
    const { channel, listeners } = this.#ears[name]
    if (channel.hasSubscribers) channel.publish(event)
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        if (name !== 'error') this.emit('error', { keyspace: undefined, error })
      }
    }
  }
}

function earsOf(channels: Readonly<Record<EventName, Channel>>): Readonly<Record<EventName, Ear>> {
  const ears = Object.entries(channels).map(([name, channel]) => [name, new Ear(channel)])
  return Object.fromEntries(ears) as Record<EventName, Ear>
}
