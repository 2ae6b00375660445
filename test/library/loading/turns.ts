// Turns of the event loop: whatever can happen without the clock moving has happened after them.

/** Some of them, which is enough for a load through all layers. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(resolve => setImmediate(resolve))
}
