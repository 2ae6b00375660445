// Turns of the event loop. With clock.ts this is the one place that touches the global timers: whoever has much to do
// gives the others a turn by going on afterwards. Not for: waiting for a time (Clock.timer).

/** Runs `callback` once, after the input that is waiting now has been handled. */
export function afterThisTurn(callback: () => void): void {
  setImmediate(callback)
}
