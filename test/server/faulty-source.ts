// A database's thread that ends when it is told to, on a channel of the name of its database, for tests of its replacement.
import { BroadcastChannel, workerData } from 'node:worker_threads'
import type { SourceThreadOptions } from '../../src/cache/source-thread.ts'
import '../../src/cache/source-thread-main.ts'

const channel = new BroadcastChannel(`die ${(workerData as SourceThreadOptions).name}`)
channel.addEventListener('message', () => process.exit(3))
channel.unref()
