// What every near cache does, one test each, for a near cache of one lane fed by hand.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_PROOF } from '../../src/coherence/freshness.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import type { ValueRecord } from '../../src/coherence/record.ts'
import type { NearCache } from '../../src/cache/near-cache.ts'
import type { ManualClock } from '../../src/testing/clock.ts'

export interface NearFixture {
  /** Of one lane. */
  readonly near: NearCache
  readonly clock: ManualClock
  check?(): void
}

const EPOCH = 7n
const GENERATION = { epoch: EPOCH, nonce: 1 }
const KEY = 'w:1'

function lane(lsn: bigint, sequence: number, nonce = 1): LaneState {
  return { generation: { epoch: EPOCH, nonce }, sequence, mark: { lsn, sub: 0n } }
}

function written(text: string | null, at: bigint, xid = at): ValueRecord {
  const stamp = { kind: 'write', xid, at, epoch: EPOCH, upto: at } as const
  return { type: 'value', generation: GENERATION, stamp, payload: text === null ? null : Buffer.from(text) }
}

class Fed {
  readonly near: NearCache
  readonly clock: ManualClock
  #lane: LaneState

  constructor({ near, clock }: NearFixture) {
    this.near = near
    this.clock = clock
    this.#lane = lane(100n, 1)
    near.initialise(0, this.#lane)
  }

  get lane(): LaneState {
    return this.#lane
  }

  /** The next message of the lane. */
  tell(content: Partial<Pick<LaneMessage, 'events' | 'voids'>> = {}, lsn: bigint = this.#lane.mark.lsn): void {
    const prev = this.#lane.mark
    this.#lane = { ...this.#lane, sequence: this.#lane.sequence + 1, mark: { lsn, sub: 0n } }
    this.near.message(0, { ...this.#lane, prev, events: [], voids: [], ...content })
  }

  /** One message that nobody hears. */
  miss(): void {
    this.#lane = { ...this.#lane, sequence: this.#lane.sequence + 1 }
  }

  admit(record: ValueRecord, ticket: number = this.near.begin(KEY), ttlMs?: number): boolean {
    return this.near.admit(KEY, { ticket, lane: this.#lane, record, ...(ttlMs === undefined ? {} : { ttlMs }) })
  }

  /** undefined: nothing is held; null: it is known that there is no such row. */
  value(): string | null | undefined {
    const found = this.near.find(KEY)
    if (found === undefined) return undefined
    return found.record.payload === null ? null : Buffer.from(found.record.payload).toString()
  }

  asOfMs(): number {
    return this.near.find(KEY)!.asOfMs
  }
}

type NearTest = (s: Fed) => void

const tests: Record<string, NearTest> = {
  'what was admitted is found, with its stamp and the lane that vouches for it': s => {
    assert.equal(s.value(), undefined)
    assert.ok(s.admit(written('a', 90n)))
    const found = s.near.find(KEY)
    assert.deepEqual(found?.record.stamp, written('a', 90n).stamp)
    assert.deepEqual(found?.lane, s.lane)
    assert.equal(s.value(), 'a')
  },
  'that there is no such row is an entry too, and differs from an empty one': s => {
    s.admit(written(null, 90n))
    assert.equal(s.value(), null)
    s.admit(written('', 91n))
    assert.equal(s.value(), '')
  },
  'an unknown lane holds nothing and admits nothing': s => {
    s.admit(written('a', 90n))
    s.near.lost([0])
    assert.equal(s.near.lane(0), undefined)
    assert.equal(s.value(), undefined)
    assert.ok(!s.admit(written('a', 90n)))
  },
  'what was held before messages were lost does not come back with the lane': s => {
    s.admit(written('a', 90n))
    s.near.lost([0])
    s.near.initialise(0, s.lane)
    assert.deepEqual(s.near.lane(0), s.lane)
    assert.equal(s.value(), undefined)
    assert.ok(s.admit(written('a', 90n)))
    assert.equal(s.value(), 'a')
  },
  'a header that comes after a message changes nothing': s => {
    s.admit(written('a', 90n))
    s.tell()
    s.near.initialise(0, lane(90n, 0))
    assert.deepEqual(s.near.lane(0), s.lane)
    assert.equal(s.value(), 'a')
  },
  'a message that continues the lane leaves what it does not name': s => {
    s.admit(written('a', 90n))
    s.tell({ voids: ['w:2'], events: [{ key: 'w:3', xid: 5n, lsn: 110n, change: 105n }] }, 120n)
    assert.equal(s.value(), 'a')
    assert.deepEqual(s.near.lane(0), s.lane)
  },
  'a change removes an entry that does not reflect it, and leaves one that does': s => {
    s.admit(written('a', 90n))
    s.tell({ events: [{ key: KEY, xid: 5n, lsn: 110n, change: 105n }] }, 120n)
    assert.equal(s.value(), undefined)
    s.admit(written('b', 125n, 9n))
    s.tell({ events: [{ key: KEY, xid: 9n, lsn: 130n, change: 124n }] }, 130n)
    assert.equal(s.value(), 'b')
  },
  'a void removes an entry in any case': s => {
    s.admit(written('a', 900n))
    s.tell({ voids: [KEY] })
    assert.equal(s.value(), undefined)
  },
  'after a message that does not continue, nothing of before is held': s => {
    s.admit(written('a', 90n))
    s.miss()
    s.tell()
    assert.equal(s.value(), undefined)
    assert.deepEqual(s.near.lane(0), s.lane)
    assert.ok(s.admit(written('b', 91n)))
    assert.equal(s.value(), 'b')
  },
  'a reset drops the lane and begins with its new generation': s => {
    s.admit(written('a', 90n))
    const next = lane(200n, 2, 2)
    s.near.message(0, { ...next, prev: next.mark, events: [], voids: [] })
    assert.equal(s.value(), undefined)
    assert.deepEqual(s.near.lane(0), next)
  },
  'what was read under an older mark than the near one does not enter': s => {
    const before = s.lane
    const ticket = s.near.begin(KEY)
    s.tell({}, 120n)
    assert.ok(!s.near.admit(KEY, { ticket, lane: before, record: written('a', 90n) }))
    assert.equal(s.value(), undefined)
  },
  'a read that began before something happened to the key does not enter, nor one from before a break': s => {
    let ticket = s.near.begin(KEY)
    s.tell({ voids: [KEY] })
    assert.ok(!s.admit(written('a', 90n), ticket))
    ticket = s.near.begin(KEY)
    s.tell({ events: [{ key: KEY, xid: 5n, lsn: 110n, change: 105n }] })
    assert.ok(!s.admit(written('a', 90n), ticket))
    ticket = s.near.begin(KEY)
    s.near.drop(KEY)
    assert.ok(!s.admit(written('a', 90n), ticket))
    ticket = s.near.begin(KEY)
    s.miss()
    s.tell()
    assert.ok(!s.admit(written('a', 90n), ticket))
    ticket = s.near.begin(KEY)
    s.near.lost([0])
    s.near.initialise(0, s.lane)
    assert.ok(!s.admit(written('a', 90n), ticket))
    assert.ok(s.admit(written('a', 90n)))
  },
  'what happens to other keys does not keep a read from entering': s => {
    const ticket = s.near.begin(KEY)
    s.near.drop('w:2')
    s.tell({ voids: ['w:3'] })
    assert.ok(s.admit(written('a', 90n), ticket))
  },
  'a dropped entry is not found': s => {
    s.admit(written('a', 90n))
    s.near.drop(KEY)
    assert.equal(s.value(), undefined)
  },
  'an entry is gone once its time to live is over': s => {
    s.admit(written('a', 90n), s.near.begin(KEY), 50)
    s.clock.advance(49)
    assert.equal(s.value(), 'a')
    s.clock.advance(1)
    assert.equal(s.value(), undefined)
  },
  'proofs follow from the samples and from every message that moves the mark': s => {
    s.admit(written('a', 90n))
    assert.equal(s.asOfMs(), NO_PROOF)
    const samples = [
      { takenAtMs: 1_000, position: 95n, epoch: EPOCH },
      { takenAtMs: 1_050, position: 100n, epoch: EPOCH },
      { takenAtMs: 1_100, position: 115n, epoch: EPOCH },
    ]
    s.near.prove(samples)
    assert.equal(s.asOfMs(), 1_000)
    s.tell({}, 110n)
    assert.equal(s.asOfMs(), 1_050)
    s.tell({}, 120n)
    assert.equal(s.asOfMs(), 1_100)
    s.near.prove([])
    assert.equal(s.asOfMs(), NO_PROOF)
  },
  'samples of another epoch prove nothing': s => {
    s.admit(written('a', 90n))
    s.near.prove([{ takenAtMs: 1_000, position: 50n, epoch: 8n }])
    assert.equal(s.asOfMs(), NO_PROOF)
  },
  'a lane that begins anew is proved by its own mark': s => {
    s.near.prove([{ takenAtMs: 1_000, position: 95n, epoch: EPOCH }])
    const next = lane(94n, 2, 2)
    s.near.message(0, { ...next, prev: next.mark, events: [], voids: [] })
    assert.ok(s.near.admit(KEY, { ticket: s.near.begin(KEY), lane: next, record: written('a', 90n) }))
    assert.equal(s.asOfMs(), NO_PROOF)
  },
}

/** Registers one test for each. `make` is called once a test. */
export function nearContract(name: string, make: () => NearFixture): void {
  void describe(name, () => {
    for (const [sentence, body] of Object.entries(tests)) {
      void test(sentence, () => {
        const fixture = make()
        body(new Fed(fixture))
        fixture.check?.()
      })
    }
  })
}
