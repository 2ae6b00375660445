// The hot path makes no garbage: a million hits, misses and small writes leave less than two bytes each on the heap.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { test } from 'node:test'

test('hits, misses and small writes make no garbage', t => {
  const flags = ['--expose-gc', '--max-semi-space-size=128', '--min-semi-space-size=128']
  const printed = execFileSync(process.execPath, [...flags, resolve(import.meta.dirname, 'hot-path.ts')])
  const measured = JSON.parse(printed.toString()) as Record<string, number>
  t.diagnostic(printed.toString())
  for (const operation of ['hit', 'miss', 'overwriteInPlace', 'overwriteMoved']) {
    const bytes = measured[operation]
    assert.ok(bytes !== undefined && bytes < 2, `${operation} leaves ${bytes} bytes behind`)
  }
})
