// Values of a tier that are of no use to this process: counted for their keyspaces, and told of as errors, but not each of them.
// They read as absent, so nobody misses them but whoever wonders why so much is loaded.
// Not for: what becomes of such a value (tier/codec-tier.ts), and how one is known (payload-codecs.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { UndecodableReason } from '../codec/value-codec.ts'
import type { Events } from './events.ts'
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

export class UndecodableValues {
  readonly #clock: Clock
  readonly #events: Events
  readonly #counts = new Map<string, Counts>()
  /** By keyspace and reason. */
  readonly #told = new Map<string, Told>()

  constructor(clock: Clock, events: Events) {
    this.#clock = clock
    this.#events = events
  }

  /** Where those of a keyspace are counted. */
  count(keyspace: string, counts: Counts): void {
    this.#counts.set(keyspace, counts)
  }

  readonly tell: TellNoValue = (key, reason) => {
    const keyspace = key.slice(0, key.indexOf(':'))
    const counts = this.#counts.get(keyspace)
    if (counts !== undefined) counts.undecodable++
    const kind = `${keyspace}:${reason}`
    const told = this.#told.get(kind)
    const nowMs = this.#clock.monotonicMs()
    if (told !== undefined && nowMs < told.atMs + limits.undecodableToldEveryMs) {
      told.others++
      return
    }
    this.#told.set(kind, { atMs: nowMs, others: 0 })
    const since =
      told === undefined || told.others === 0 ? '' : `; so were ${told.others} others since the last one told`
    const error = new TidemarkError(
      'VALUE_UNDECODABLE',
      `what the tier has as '${key}' is no value here, and was given up: ${words[reason]}${since}`,
    )
    this.#events.emit('error', { keyspace: counts === undefined ? undefined : keyspace, error })
  }
}
