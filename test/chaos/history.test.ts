// The checker of chaos is checked: violations planted one by one are found, and what is allowed is not taken for one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { sealOf } from './demo-table.ts'
import { History } from './history.ts'
import type { Sighting } from './history.ts'
import { StalenessHistogram } from './staleness.ts'

const KEY = 3

/** Version 1 at the beginning, 2 acknowledged at 1,000 ms, 3 at 2,000 ms. */
function scene(): History {
  const history = new History(10)
  history.begin(KEY, 1, 0)
  history.acknowledge(KEY, 990, 1_000, { version: 2 })
  history.acknowledge(KEY, 1_990, 2_000, { version: 3 })
  return history
}

function read(history: History, version: number | undefined, sentMs: number, more: Partial<Sighting> = {}): void {
  const row = version === undefined ? undefined : { id: KEY, version, seal: sealOf(KEY, version, 7), writer: 7 }
  history.saw({ key: KEY, row, sentMs, receivedMs: sentMs + 1, boundMs: 500, from: 'test', ...more })
}

function kinds(history: History): string[] {
  return history.violations.map(({ kind }) => kind)
}

describe('the bound', () => {
  test('a version superseded longer ago than the bound is a violation', () => {
    const history = scene()
    read(history, 2, 2_501)
    assert.deepEqual(kinds(history), ['bound'])
    assert.match(history.violations[0]!.text, /key 3 version 2 .* superseded 501\.0 ms/)
  })
  test('one superseded just within it is none', () => {
    const history = scene()
    read(history, 2, 2_500)
    assert.deepEqual(kinds(history), [])
    assert.equal(history.staleness.maxMs, 500)
  })
  test('what counts is when the next version came, not the latest', () => {
    const history = scene()
    read(history, 1, 2_100)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('an answer marked as stale may be of any age', () => {
    const history = scene()
    read(history, 1, 60_000, { boundMs: Infinity })
    assert.deepEqual(kinds(history), [])
  })
  test('a bound of 0 allows nothing that was superseded when it was asked for', () => {
    const history = scene()
    read(history, 3, 2_001, { boundMs: 0 })
    assert.deepEqual(kinds(history), [])
    read(history, 2, 2_001, { boundMs: 0 })
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('a write that was not acknowledged supersedes nothing until somebody has read it', () => {
    const history = scene()
    history.forget(KEY)
    read(history, 3, 9_000)
    assert.deepEqual(kinds(history), [])
    read(history, 4, 9_000)
    read(history, 3, 9_600)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('a write that does not tell its version supersedes all that were known when it was sent', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { knownBefore: 3 })
    read(history, 3, 3_400)
    assert.deepEqual(kinds(history), [])
    read(history, 3, 3_501)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('a version far out of memory is still a violation', () => {
    const history = scene()
    for (let version = 4; version < 500; version++)
      history.acknowledge(KEY, 2_000 + version * 100, 2_000 + version * 100, { version })
    read(history, 1, 60_000)
    assert.deepEqual(kinds(history), ['bound'])
  })
})

describe('the age that an answer tells', () => {
  test('a version superseded longer ago than the told age is a violation, even within the bound', () => {
    const history = scene()
    read(history, 2, 2_100, { ageMs: 99 })
    assert.deepEqual(kinds(history), ['age'])
  })
  test('and even of an answer marked as stale', () => {
    const history = scene()
    read(history, 2, 4_000, { ageMs: 1_999, boundMs: Infinity })
    assert.deepEqual(kinds(history), ['age'])
  })
  test('an age that covers it is none', () => {
    const history = scene()
    read(history, 2, 2_100, { ageMs: 100 })
    assert.deepEqual(kinds(history), [])
  })
})

describe('values read in bulk', () => {
  const sighting = { sentMs: 2_100, receivedMs: 2_101, boundMs: 500, from: 'test' }
  const row = (history: History, id: number, version: number, seal: number, at = sighting): void =>
    history.sawRow(KEY, id, version, seal, 7, at)
  test('a whole and fresh one is none', () => {
    const history = scene()
    row(history, KEY, 3, sealOf(KEY, 3, 7))
    row(history, KEY, 2, sealOf(KEY, 2, 7))
    assert.deepEqual(kinds(history), [])
    assert.equal(history.reads, 2)
  })
  test('another row than was asked for is a violation', () => {
    const history = scene()
    row(history, KEY + 1, 3, sealOf(KEY + 1, 3, 7))
    assert.deepEqual(kinds(history), ['whole'])
  })
  test('parts of two versions in one value are a violation', () => {
    const history = scene()
    row(history, KEY, 3, sealOf(KEY, 2, 7))
    assert.deepEqual(kinds(history), ['whole'])
  })
  test('a stale one is a violation', () => {
    const history = scene()
    row(history, KEY, 2, sealOf(KEY, 2, 7), { ...sighting, sentMs: 2_501 })
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('two contents of one version are a violation', () => {
    const history = scene()
    history.sawRow(KEY, KEY, 3, sealOf(KEY, 3, 7), 7, sighting)
    history.sawRow(KEY, KEY, 3, sealOf(KEY, 3, 7), 7, sighting)
    assert.deepEqual(kinds(history), [])
    history.sawRow(KEY, KEY, 3, sealOf(KEY, 3, 8), 8, sighting)
    assert.deepEqual(kinds(history), ['whole'])
  })
  test('what changed within the bound before is counted', () => {
    const history = scene()
    row(history, KEY, 3, sealOf(KEY, 3, 7))
    row(history, KEY, 2, sealOf(KEY, 2, 7))
    assert.equal(history.contested, 2)
    row(history, KEY, 3, sealOf(KEY, 3, 7), { ...sighting, sentMs: 2_501 })
    assert.equal(history.contested, 2)
  })
})

describe('the witness', () => {
  test('what the database shows supersedes before anybody has an answer', () => {
    const history = scene()
    history.witnessed({ id: KEY, version: 4, seal: sealOf(KEY, 4, 7), writer: 7 }, 3_000)
    read(history, 3, 3_501)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('how late a commit was known is counted from when the write was sent', () => {
    const history = scene()
    history.witnessed({ id: KEY, version: 4, seal: sealOf(KEY, 4, 7), writer: 7 }, 3_004)
    history.acknowledge(KEY, 3_000, 6_000, { version: 4 })
    assert.equal(history.slack.maxMs, 10)
    assert.equal(history.slack.total, 3)
  })
})

describe("the database's list of changes", () => {
  const changes = [
    { id: KEY, version: 1, writer: 0 },
    { id: KEY, version: 2, writer: 7 },
    { id: KEY, version: 3, writer: 8 },
    { id: KEY, version: 4, writer: 8 },
  ]
  test('what was acknowledged and read, and is in it, is none', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { version: 4 })
    history.acknowledge(KEY, 2_990, 3_000, { knownBefore: 1, mark: 7 })
    read(history, 2, 2_001)
    history.audit(changes)
    assert.deepEqual(kinds(history), [])
  })
  test('an acknowledged write that is not in it is a violation, even where the count is right', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { knownBefore: 1, mark: 9 })
    history.forget(KEY, 7)
    history.settle(KEY, 4)
    assert.deepEqual(kinds(history), [])
    history.audit(changes)
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('an acknowledged version that is not in it is a violation', () => {
    const history = scene()
    history.audit(changes.slice(0, 2))
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('a version that was acknowledged to one and is by another is a violation', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { version: 4, mark: 7 })
    history.audit(changes)
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('a write that happened twice is a violation, acknowledged or not', () => {
    const twice = [...changes, { id: KEY, version: 5, writer: 7 }]
    const history = scene()
    history.forget(KEY, 7)
    history.audit(twice)
    assert.deepEqual(kinds(history), ['twice'])
  })
  test('a version acknowledged to two writes is a violation', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { version: 3 })
    assert.deepEqual(kinds(history), ['twice'])
  })
  test('a value that was read and never committed is a violation', () => {
    const history = scene()
    read(history, 3, 2_001)
    history.audit(changes)
    assert.deepEqual(kinds(history), ['invented'])
    const rolledBack = scene()
    read(rolledBack, 5, 2_001)
    rolledBack.audit(changes)
    assert.deepEqual(kinds(rolledBack), ['invented'])
  })
})

describe('sessions', () => {
  test('an older version than the session had seen is a violation', () => {
    const history = scene()
    history.sawInSession('session 1', KEY, 3, 2)
    assert.deepEqual(kinds(history), ['session'])
  })
  test('the same one and a later one are none', () => {
    const history = scene()
    history.sawInSession('session 1', KEY, 2, 2)
    history.sawInSession('session 1', KEY, 2, 3)
    assert.deepEqual(kinds(history), [])
  })
})

describe('at the end', () => {
  test('a row that changed as often as was acknowledged is none', () => {
    const history = scene()
    history.settle(KEY, 3)
    assert.deepEqual(kinds(history), [])
  })
  test('a row that lacks an acknowledged write is a violation', () => {
    const history = scene()
    history.acknowledge(KEY, 2_990, 3_000, { knownBefore: 1 })
    history.settle(KEY, 3)
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('a row that is gone is a violation', () => {
    const history = scene()
    history.settle(KEY, undefined)
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('a row below a version that somebody read is a violation', () => {
    const history = scene()
    history.forget(KEY)
    read(history, 4, 3_000)
    history.settle(KEY, 3)
    assert.deepEqual(kinds(history), ['lost'])
  })
  test('a row that changed more often than anybody wrote is a violation', () => {
    const history = scene()
    history.settle(KEY, 4)
    assert.deepEqual(kinds(history), ['invented'])
  })
  test('a write of unknown outcome may be there or not', () => {
    for (const version of [3, 4]) {
      const history = scene()
      history.forget(KEY)
      history.settle(KEY, version)
      assert.deepEqual(kinds(history), [])
    }
  })
})

describe('rows that come and go', () => {
  /** Version 3 is removed at 3,000 ms, and comes again as version 5 at 4,000 ms. */
  function passing(): History {
    const history = scene()
    history.removing(KEY, 4)
    history.known(KEY, 4, 3_000)
    history.known(KEY, 5, 4_000)
    return history
  }
  test('a removed row that is still read after the bound is a violation', () => {
    const history = passing()
    read(history, 3, 3_501)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('no row, longer after it came again than the bound, is a violation', () => {
    const history = passing()
    read(history, undefined, 4_501)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('no row is none while its removal is on its way', () => {
    const history = passing()
    history.removing(KEY, 6)
    read(history, undefined, 9_000)
    assert.deepEqual(kinds(history), [])
  })
  test('no row, read while a removal is on its way, does not say that it was removed', () => {
    const history = passing()
    history.removing(KEY, 6)
    read(history, undefined, 4_100)
    read(history, 5, 9_000)
    assert.deepEqual(kinds(history), [])
  })
  test('no row where nobody ever removed one is a violation', () => {
    const history = scene()
    read(history, undefined, 3_000)
    assert.deepEqual(kinds(history), ['bound'])
  })
  test('an acknowledged coming that is not there at the end is a violation', () => {
    const history = passing()
    history.settle(KEY, undefined)
    assert.deepEqual(kinds(history), ['lost'])
  })
})

test('the distribution of staleness tells shares to 10%', () => {
  const histogram = new StalenessHistogram()
  for (let i = 0; i < 900; i++) histogram.add(0)
  for (let ms = 1; ms <= 100; ms++) histogram.add(ms)
  assert.equal(histogram.total, 1_000)
  assert.equal(histogram.current, 0.9)
  assert.equal(histogram.maxMs, 100)
  assert.equal(histogram.quantile(0.5), 0)
  const p95 = histogram.quantile(0.95)
  assert.ok(p95 >= 50 && p95 <= 56, `${p95}`)
})
