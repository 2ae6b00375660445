// Values that a tier and this process cannot hand each other: what the tier has and is of no use here, and what the tier does not
// keep. Counted for their keyspaces, and told of as errors, but not each of them: all that users see of it otherwise is that much
// is loaded.
// Not for: what becomes of such a value (tier/codec-tier.ts), and how one is known (payload-codecs.ts).
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { UndecodableReason } from '../codec/value-codec.ts'
import type { Events } from './events.ts'
import { keyspaceOf } from './key.ts'
import type { Counts } from './stats.ts'

export type NoValueReason = UndecodableReason | 'schema'

/** `key`: the whole one. */
export type TellNoValue = (key: string, reason: NoValueReason) => void

const words: Readonly<Record<NoValueReason, string>> = {
  format: 'it is in a format that this version does not know',
  damaged: 'it is damaged',
  codec: 'another codec wrote it',
  version: "it is of another version (the keyspace's version)",
  key: 'it is encrypted with a key that is not in the ring (encryption)',
  plain: 'it is not encrypted (encryption)',
  forged: 'it was changed since it was encrypted, or belongs to another key',
  compression: 'it cannot be decompressed, or is larger than values may be',
  value: 'the codec cannot read it',
  schema: 'it is not as the schema says',
}

interface Told {
  readonly atMs: number
  /** Since then. */
  others: number
}

export class ValueReports {
  readonly #clock: Clock
  readonly #events: Events
  readonly #counts = new Map<string, Counts>()
  /** By keyspace and what is told of it. */
  readonly #told = new Map<string, Told>()

  constructor(clock: Clock, events: Events) {
    this.#clock = clock
    this.#events = events
  }

  /** Where those of a keyspace are counted. */
  count(keyspace: string, counts: Counts): void {
    this.#counts.set(keyspace, counts)
  }

  /** What the tier has is no value here. */
  readonly undecodable: TellNoValue = (key, reason) => {
    const counts = this.#countsOf(key)
    if (counts !== undefined) counts.undecodable++
    this.#tell(key, reason, since => {
      const what = `what the tier has as '${key}' is no value here, and was given up: ${words[reason]}`
      return new TidemarkError('VALUE_UNDECODABLE', `${what}${since}`)
    })
  }

  /** The tier did not keep a value of so many bytes. */
  readonly refused = (key: string, bytes: number): void => {
    this.#unkept(key, 'VALUE_REFUSED', since => {
      const what = `the tier did not keep '${key}' (${bytes} bytes): it is full, or takes nothing so large`
      return new TidemarkError('VALUE_REFUSED', `${what}${since}`)
    })
  }

  /** A value was not brought to the tier: it has no bytes, or too many. */
  readonly unencodable = (key: string, error: unknown): void => {
    const code = error instanceof TidemarkError ? error.code : 'VALUE_UNENCODABLE'
    this.#unkept(key, code, since =>
      since === '' ? error : new TidemarkError(code, `${messageOf(error)}${since}`, { cause: error }),
    )
  }

  #unkept(key: string, kind: string, errorOf: (since: string) => unknown): void {
    const counts = this.#countsOf(key)
    if (counts !== undefined) counts.unkept++
    this.#tell(key, kind, errorOf)
  }

  // `since`: how many more there were; empty the first time.
  #tell(key: string, kind: string, errorOf: (since: string) => unknown): void {
    const keyspace = keyspaceOf(key)
    const id = `${keyspace}:${kind}`
    const told = this.#told.get(id)
    const nowMs = this.#clock.monotonicMs()
    if (told !== undefined && nowMs < told.atMs + limits.valueToldEveryMs) {
      told.others++
      return
    }
    this.#told.set(id, { atMs: nowMs, others: 0 })
    const others = told?.others ?? 0
    const error = errorOf(others === 0 ? '' : `; so were ${others} others since the last one told`)
    this.#events.emit('error', { keyspace: this.#counts.has(keyspace) ? keyspace : undefined, error })
  }

  #countsOf(key: string): Counts | undefined {
    return this.#counts.get(keyspaceOf(key))
  }
}
