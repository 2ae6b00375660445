// A server thread that can be made to die, for tests of its replacement: reading the key `die:now` breaks an invariant,
// and `die:locked` does so while the thread holds a lock of the store. Started by supervisor.test.ts.
import { AssertionError } from '../../src/base/assert.ts'
import { openCache } from '../../src/server/open-cache.ts'
import { runThread } from '../../src/server/run-thread.ts'

await runThread(async parts => {
  const opened = await openCache(parts)
  const { cache } = opened
  const keyspaceOf = cache.keyspaceOf.bind(cache)
  cache.keyspaceOf = (bytes, start, end) => {
    const key = Buffer.from(bytes.subarray(start, end)).toString()
    if (key === 'die:locked') parts.store.lock(parts.store.hash(bytes, start, end))
    if (key.startsWith('die:')) throw new AssertionError('this thread was told to die')
    return keyspaceOf(bytes, start, end)
  }
  return opened
})
