// The tide over a scripted log: what it waits for, what it applies, what it confirms, and when lanes begin anew.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyOf, LANES, TideScene } from './tide-scene.ts'

const ALL = Array.from({ length: LANES }, (_, lane) => lane)

await test('lanes without a header begin where the log does, and a change moves the mark of its lane at once', async () => {
  const scene = new TideScene()
  scene.start()
  await scene.pass(0)
  assert.deepEqual(scene.marks(), [100n, 100n, 100n, 100n])
  const { lsn } = scene.log.write([keyOf(2)])
  await scene.pass(0)
  assert.deepEqual(scene.marks(), [100n, 100n, lsn, 100n])
  assert.deepEqual(scene.appliedTo(2), [lsn])
  await scene.pass(50)
  assert.ok(scene.marks().every(mark => mark >= lsn))
})
