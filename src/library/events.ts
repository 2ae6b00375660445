// What the library tells of what it does, typed, for those who listen. Nobody listening costs a comparison.
// Not for: counting (stats), spans (telemetry.ts).

export interface TidemarkEvents {
  /** An answer out of this process's memory. */
  hit: { readonly keyspace: string; readonly key: string }
  /** It was not there, or not fresh enough. */
  miss: { readonly keyspace: string; readonly key: string }
  /** The source was asked, for one key or several. */
  load: { readonly keyspace: string; readonly keys: number; readonly ms: number; readonly failed: boolean }
  /** A value was written through. */
  write: { readonly keyspace: string; readonly keys: readonly string[] }
  /** Values were given up because somebody asked for it. */
  invalidate: { readonly keyspace: string; readonly keys: readonly string[] }
  /** A value left to make room, or because its time was over. */
  evict: { readonly keyspace: string; readonly key: string; readonly reason: 'room' | 'expired' | 'dead' }
  /** An answer older than its bound was given, as `whenStale` or `staleIfError` allows. */
  stale: { readonly keyspace: string; readonly key: string; readonly ageMs: number }
  /** Something went wrong that no call was told of, or was told of and went on all the same. */
  error: { readonly keyspace: string | undefined; readonly error: unknown }
}

export type EventName = keyof TidemarkEvents
export type Listener<Name extends EventName> = (event: TidemarkEvents[Name]) => void

export class Events {
  readonly #listeners = new Map<EventName, Set<Listener<EventName>>>()

  /** Returns what ends it. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>): () => void {
    let listeners = this.#listeners.get(name)
    if (listeners === undefined) this.#listeners.set(name, (listeners = new Set()))
    // A wrapper, so that a listener that was added twice is called twice, and removed once by each.
    const own = (event: TidemarkEvents[EventName]): void => listener(event as TidemarkEvents[Name])
    listeners.add(own)
    return () => {
      listeners.delete(own)
      if (listeners.size === 0) this.#listeners.delete(name)
    }
  }

  /** Whether an event is worth making. */
  has(name: EventName): boolean {
    return this.#listeners.has(name)
  }

  /** A listener that throws is told of as an error, and holds up nobody. */
  emit<Name extends EventName>(name: Name, event: TidemarkEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(event)
      } catch (error) {
        if (name !== 'error') this.emit('error', { keyspace: undefined, error })
      }
    }
  }
}
