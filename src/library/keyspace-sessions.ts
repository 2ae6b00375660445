// Which session the calls of a keyspace belong to: the one that a call names, none where it says so, else the keyspace's own.
// Not for: what a session holds an answer to (call-session.ts, keyspace-session.ts).
import type { Backing } from '../cache/keyspaces.ts'
import { valueOf } from '../near/entry.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { Source } from '../source/source.ts'
import { SourceSession, type CallSession } from './call-session.ts'
import { KeyspaceSession } from './keyspace-session.ts'
import { invalid } from './option-checks.ts'
import type { ProofClock } from './proof-clock.ts'
import { isSession, type Session } from './session.ts'
import { NONE, SessionSpace, type Memory } from './session-space.ts'

export class KeyspaceSessions {
  readonly #own: KeyspaceSession | Session | undefined

  constructor(own: KeyspaceSession | Session | undefined) {
    this.#own = own
  }

  /** Of a call, to the source; `given`: as the call has it. Throws OPTION_INVALID. */
  of(given: Session | false | undefined, source: Source<unknown>): CallSession | undefined {
    const session = given ?? this.#own
    if (session === undefined || session === false) return undefined
    if (session instanceof KeyspaceSession) return session
    if (isSession(session)) return new SourceSession(session.tickets, source)
    throw invalid('session', session, 'what tide.session() gives, or false')
  }

  /** Whether such a call is of a session. */
  has(given: Session | false | undefined): boolean {
    return (given ?? this.#own ?? false) !== false
  }

  /** The memory of the keyspace, for calls that name no session; `backing` gives undefined until the source is open. */
  memory(
    places: ObjectPlaces,
    name: string,
    proofClock: ProofClock,
    boundMs: number,
    backing: () => Backing<unknown> | undefined,
  ): { readonly memory: Memory; readonly boundMs: number } {
    const space = places.space(name)
    if (this.#own === undefined) return { memory: space, boundMs }
    let session: CallSession | undefined
    const opened = (): { readonly session: CallSession; readonly backing: Backing<unknown> } | undefined => {
      const known = backing()
      if (known === undefined) return undefined
      session ??= this.of(undefined, known.source)!
      return { session, backing: known }
    }
    // It sees to the bound by itself: to its user it is memory without one.
    return { memory: new SessionSpace({ pool: places.pool, space, proofClock, boundMs, opened }), boundMs: Infinity }
  }
}

/** A payload of the source as a session sees it. */
export function heldOf(payload: unknown): unknown {
  return payload === null ? NONE : valueOf(payload)
}
