// The part of a process that is a service with the library in it: the product's own Tidemark, as `createTidemark` makes it, whose
// database and tier are the simulated ones. Not for: what is asked of it (clients.ts, library-clients.ts).
import { formatTicket, parseTicket, type SessionTicket } from '../../src/coherence/session.ts'
import type { Random } from '../../src/base/random.ts'
import type { ReadOptions } from '../../src/cache/reader.ts'
import type { CacheWrite } from '../../src/cache/writer.ts'
import type { Answer, Keyspace } from '../../src/library/keyspace.ts'
import type { Duration } from '../../src/config/units.ts'
import type { JournalStorage } from '../../src/journal/storage.ts'
import type { OldValueOptions } from '../../src/library/load-options.ts'
import type { KeyspaceOptions } from '../../src/library/options.ts'
import { openRows } from '../../src/library/open-rows.ts'
import type { Session } from '../../src/library/session.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import { postgres } from '../../src/postgres.ts'
import type { ChangeFeed } from '../../src/source/change-feed.ts'
import type { Told } from './checker.ts'
import type { OldConfig } from './library-plan.ts'
import type { SimProcess } from './machine.ts'
import { BEHIND, OLD } from './service-plan.ts'
import { COUNTERS, describeKeyspace, PLAIN, TRIGGERED, valueOf } from './row.ts'
import type { SimSource } from './sim-source.ts'
import type { SimTier } from './sim-tier.ts'
import type { Value } from './truth.ts'

export interface LibraryNodeOptions {
  readonly process: SimProcess
  readonly source: SimSource
  /** undefined: its lanes are in its own memory, and it reads the log for itself. */
  readonly tier: SimTier | undefined
  readonly feed: () => ChangeFeed
  readonly random: Random
  /** In the simulation's time, which no suspension stops. */
  readonly nowMs: () => number
  readonly maxStalenessMs: number
  readonly nearEntries: number
  readonly tide: boolean
  readonly old: OldConfig | undefined
  /** Of keyspaces that write behind. */
  readonly storage: JournalStorage | undefined
  /** What the product never is to reject with. */
  readonly broken: (what: string, error: unknown) => void
  /** What those of functions reject with. */
  readonly failed: ((what: string, error: unknown) => void) | undefined
}

interface Row {
  readonly id: string
  readonly v: number
}

/** What a call without options was answered with. */
export interface Got {
  /** Out of memory, before the call returned. */
  readonly atOnce: boolean
  readonly answer: Promise<Value>
}

/** What the session takes along to the next process, of the one database there is: what was seen there last comes last. */
function lastTicketOf(session: Session): SessionTicket | undefined {
  return parseTicket(session.ticket().split('.').at(-1)!)
}

const DATABASE = 'postgres://simulated/database'

export class LibraryNode {
  readonly tide: Tidemark
  readonly #options: LibraryNodeOptions
  readonly #keyspaces: ReadonlyMap<string, Keyspace<Row>>

  constructor(options: LibraryNodeOptions) {
    const { process, source, tier, feed, random, broken } = options
    const { clock } = process
    const tide = new Tidemark(
      {
        near: { maxEntries: options.nearEntries },
        maxStaleness: durationOf(options.maxStalenessMs),
        tide: options.tide,
      },
      {
        clock,
        random,
        ...(options.storage && { storage: options.storage }),
        tier: tier && { lanes: tier.lanes, open: () => Promise.resolve(tier) },
        openPostgres: parts =>
          openRows({
            ...parts,
            rows: source,
            descriptions: parts.keyspaces.map(({ name }) => describeKeyspace(name)),
            feed,
            taken: () => new TidemarkError('FEED_TAKEN', 'another process reads the log'),
          }),
      },
    )
    tide.on('error', ({ keyspace, error }) => {
      if (keyspace === OLD || keyspace === BEHIND) options.failed?.(`library, ${keyspace}`, error)
      else broken('library', error)
    })
    this.tide = tide
    this.#options = options
    const database = postgres(DATABASE)
    this.#keyspaces = new Map(
      [PLAIN, TRIGGERED, COUNTERS].map(name => [
        name,
        tide.keyspace<Row>(name, { source: database.table(name), ...(options.old && oldOptions(options.old)) }),
      ]),
    )
    // Sources are opened when they are first asked for; its tide is to run before that.
    this.#of(`${PLAIN}:1`)
      .keyspace.get('1')
      .catch((error: unknown) => broken('library', error))
  }

  /** As `read` of a keyspace. */
  async read(key: string, options: ReadOptions, inSession: boolean): Promise<Told> {
    const { keyspace, id } = this.#of(key)
    const { maxStalenessMs, whenStale } = options
    const session = this.#sessionOf(options.session)
    const answer = await keyspace.read(id, {
      ...(maxStalenessMs === undefined ? {} : { maxStaleness: durationOf(maxStalenessMs) }),
      ...(whenStale === undefined ? {} : { whenStale }),
      ...(inSession ? { session } : {}),
    })
    return { ...this.#told(answer), session: lastTicketOf(session) }
  }

  #sessionOf(ticket: SessionTicket | undefined): Session {
    return this.tide.session(ticket === undefined ? '' : formatTicket(ticket))
  }

  /** What is in memory and may be answered; undefined: nothing, or that the database has no such row. */
  peek(key: string): Value | undefined {
    const { keyspace, id } = this.#of(key)
    return keyspace.peek(id)?.v
  }

  get(key: string): Got {
    const { keyspace, id } = this.#of(key)
    const before = keyspace.stats().hits
    const answer = keyspace.get(id).then(row => row?.v ?? null)
    return { atOnce: keyspace.stats().hits > before, answer }
  }

  /** All of them in as many transactions as there are keyspaces and kinds of writes. Returns the session's ticket after it. */
  async write(writes: readonly CacheWrite[], ticket: SessionTicket | undefined): Promise<SessionTicket | undefined> {
    const session = this.#sessionOf(ticket)
    for (const [name, keyspace] of this.#keyspaces) {
      const its = writes.filter(({ key }) => key.startsWith(`${name}:`))
      const rows = its.flatMap(({ key, operation }) =>
        operation.kind === 'replace' ? [[idOf(key), rowOf(key, operation.row)] as const] : [],
      )
      const [first] = rows
      if (rows.length === 1) await keyspace.set(first![0], first![1], { session })
      else await keyspace.setMany(rows, { session })
      const removed = its.filter(({ operation }) => operation.kind === 'remove').map(({ key }) => idOf(key))
      await keyspace.deleteMany(removed, { session })
    }
    return lastTicketOf(session)
  }

  /** What the row counts after one more; `start` is what comes before the first. */
  async count(key: string, start: number): Promise<Value> {
    const { keyspace, id } = this.#of(key)
    const row = await keyspace.update(id, before => ({ id, v: (before?.v ?? start) + 1 }))
    return row?.v ?? null
  }

  #told({ value, age, tier, stale }: Answer<Row>): Told {
    const asOfMs = age === Infinity ? -Infinity : this.#options.nowMs() - age
    return { value: value?.v ?? null, asOfMs, tier, stale, session: undefined }
  }

  #of(key: string): { readonly keyspace: Keyspace<Row>; readonly id: string } {
    return { keyspace: this.#keyspaces.get(key.slice(0, key.indexOf(':')))!, id: idOf(key) }
  }
}

/** Of a keyspace that may answer old values. */
export function oldOptions(old: OldConfig): OldValueOptions & Pick<KeyspaceOptions<unknown>, 'ttl' | 'load'> {
  return {
    ttl: durationOf(old.ttlMs),
    swr: durationOf(old.swrMs),
    staleIfError: durationOf(old.staleIfErrorMs),
    load: { softTimeout: durationOf(old.softTimeoutMs) },
  }
}

export function durationOf(ms: number): Duration {
  return `${Math.floor(ms)}ms`
}

export function idOf(key: string): string {
  return key.slice(key.indexOf(':') + 1)
}

function rowOf(key: string, bytes: Uint8Array): Row {
  return { id: idOf(key), v: valueOf(bytes)! }
}
