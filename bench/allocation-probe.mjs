// Preloaded into a server under measurement (NODE_OPTIONS=--import): every isolate of the process writes, when told to by a
// change of the file that TIDEMARK_BENCH_ALLOCATIONS names, how many bytes it has allocated on its heap since its start.
// Looking costs an isolate some hundred bytes each 50 ms, against some ten thousand requests.
import { appendFileSync, statSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import { threadId } from 'node:worker_threads'

const file = process.env['TIDEMARK_BENCH_ALLOCATIONS']
let asked = 0

function look() {
  const size = statSync(`${file}.ask`, { throwIfNoEntry: false })?.size ?? 0
  if (size === asked) return
  asked = size
  appendFileSync(file, `${asked} ${threadId} ${getHeapStatistics().total_allocated_bytes}\n`)
}

if (file !== undefined) setInterval(look, 50).unref()
