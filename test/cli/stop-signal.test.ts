// Ctrl-C: the first asks, a later one exits, and one key press that arrives twice is still one.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { StopSignal } from '../../src/cli/stop-signal.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

interface Fake {
  readonly stop: StopSignal
  readonly exits: number[]
  send(signal: 'SIGINT' | 'SIGTERM', afterMs: number): void
  listeners(): number
}

function fake(): Fake {
  const emitter = new EventEmitter()
  const exits: number[] = []
  let nowMs = 1_000_000
  const clock: Clock = { monotonicMs: () => nowMs, wallMs: () => nowMs, timer: () => assert.fail('no timers') }
  const terminal = Object.assign(emitter, { exit: (code: number) => exits.push(code) })
  return {
    stop: new StopSignal(terminal as unknown as Terminal, clock),
    exits,
    send: (signal, afterMs) => {
      nowMs += afterMs
      emitter.emit(signal)
    },
    listeners: () => emitter.listenerCount('SIGINT') + emitter.listenerCount('SIGTERM'),
  }
}

test('the first signal, of either kind, asks for an end and does not exit', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { stop, exits, send } = fake()
    const received = stop.received()
    assert.equal(stop.signal.aborted, false)
    send(signal, 0)
    await received
    assert.equal(stop.signal.aborted, true)
    await stop.received()
    assert.deepEqual(exits, [])
  }
})

test('a second one exits at once, but not when npm passes on the very same key press', () => {
  const { exits, send } = fake()
  send('SIGINT', 0)
  send('SIGINT', 10)
  assert.deepEqual(exits, [])
  send('SIGINT', 400)
  assert.deepEqual(exits, [130])
})

test('once it is closed signals are no longer listened to', () => {
  const { stop, send, listeners } = fake()
  assert.equal(listeners(), 2)
  stop.close()
  assert.equal(listeners(), 0)
  send('SIGINT', 0)
  assert.equal(stop.signal.aborted, false)
})
