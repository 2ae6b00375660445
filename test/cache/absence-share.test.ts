// Whether looks at the tier had better take a lease along, by what the last ones found.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { AbsenceShare } from '../../src/cache/absence-share.ts'

/** So many looks, of which every so manyth finds nothing. */
function after(looks: number, absentOneIn: number, absences = new AbsenceShare()): AbsenceShare {
  for (let look = 1; look <= looks; look++) absences.count(look % absentOneIn === 0)
  return absences
}

test('a keyspace of which nothing is known takes no lease along, and neither does one that finds all', () => {
  assert.equal(new AbsenceShare().isHigh, false)
  assert.equal(after(1_000, Infinity).isHigh, false)
})

test('a cold start is noticed within a part of the looks that count', () => {
  const looks = Array.from({ length: limits.absentShareLooks }, (_, i) => i + 1).find(count => after(count, 1).isHigh)
  assert.ok(looks !== undefined && looks > 1 && looks <= limits.absentShareLooks / 2, String(looks))
})

test('a share above the limit is high and one below it is not, wherever it came from', () => {
  const few = Math.round(2 / limits.absentShareMin)
  const many = Math.round(0.5 / limits.absentShareMin)
  assert.equal(after(1_000, few).isHigh, false)
  assert.equal(after(1_000, many).isHigh, true)
  assert.equal(after(10 * limits.absentShareLooks, few, after(1_000, 1)).isHigh, false)
  assert.equal(after(10 * limits.absentShareLooks, many, after(1_000, Infinity)).isHigh, true)
})
