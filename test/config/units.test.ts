// Sizes and durations: what is read, what is refused, and that what is printed is read back.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

describe('sizes', () => {
  test('are bytes, or have a unit of 1024s in any case', () => {
    assert.deepEqual(
      ['0', '1024', '10b', '64kb', '256MB', '1gb', '1.5gb', ' 2mb '].map(parseSize),
      [0, 1024, 10, 65_536, 268_435_456, 1_073_741_824, 1_610_612_736, 2_097_152],
    )
  })
  test('are refused without a number, with an unknown unit, below zero or with a fraction of a byte', () => {
    for (const text of [
      '',
      'mb',
      '1m',
      '1g',
      '1k',
      '256 mb',
      '-1',
      '1e3',
      '0.3b',
      '1tb',
      '1mbb',
      '0x10',
      '９',
      '99999999gb',
    ]) {
      assert.equal(parseSize(text), undefined, text)
    }
  })
  test('are read back as they were printed', () => {
    fc.assert(fc.property(fc.maxSafeNat(), bytes => parseSize(formatSize(bytes)) === bytes))
    assert.equal(formatSize(268_435_456), '256mb')
    assert.equal(formatSize(1025), '1025b')
    assert.equal(formatSize(0), '0')
  })
})

describe('durations', () => {
  test('have a unit, and only 0 needs none', () => {
    assert.deepEqual(
      ['0', '0s', '500ms', '10s', '5m', '1h', '0.5S', '1.5h'].map(parseDuration),
      [0, 0, 500, 10_000, 300_000, 3_600_000, 500, 5_400_000],
    )
  })
  test('are refused without a unit, with an unknown one, below zero or with a fraction of a millisecond', () => {
    for (const text of ['', 's', '500', '5 s', '-1s', '1d', '0.5ms', '1.0005s', 'ten s']) {
      assert.equal(parseDuration(text), undefined, text)
    }
  })
  test('are read back as they were printed', () => {
    fc.assert(fc.property(fc.nat(), ms => parseDuration(formatDuration(ms)) === ms))
    assert.equal(formatDuration(90_000), '90s')
    assert.equal(formatDuration(0), '0')
  })
})
