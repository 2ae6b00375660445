// Turns of the event loop in virtual time: what the product wants to do after this turn (base/turn.ts) is an event as all others.
// The real loop never gets to it, since a simulation is one turn. Not for: timers, which processes have by their clocks.
import type { VirtualTime } from './virtual-time.ts'

/** Runs with the turns of `time` in the place of the process's own. */
export async function withTurnsOf<T>(time: VirtualTime, run: () => Promise<T>): Promise<T> {
  const real = globalThis.setImmediate
  const virtual = (callback: () => void): void => void time.after(0, callback)
  globalThis.setImmediate = virtual as unknown as typeof setImmediate
  try {
    return await run()
  } finally {
    globalThis.setImmediate = real
  }
}
