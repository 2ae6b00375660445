// The entry of a server thread's worker. Started by supervisor.ts; nothing imports it.
import { openCache } from './open-cache.ts'
import { runThread } from './run-thread.ts'

await runThread(openCache)
