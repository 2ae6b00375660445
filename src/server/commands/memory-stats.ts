// MEMORY STATS and DOCTOR: what the store's memory holds, under those of Redis' names that have a meaning here. Not for:
// single keys (MEMORY USAGE is in inspection.ts).
import type { Call } from './command.ts'

export function memoryStats({ store, out }: Call): void {
  const { memoryBytes, liveBytes, usedBytes, visible } = store.statistics()
  const integers: readonly (readonly [string, number])[] = [
    ['total.allocated', usedBytes],
    ['startup.allocated', memoryBytes],
    ['overhead.total', usedBytes - liveBytes],
    ['keys.count', visible],
    ['keys.bytes-per-key', visible === 0 ? 0 : Math.floor(usedBytes / visible)],
    ['dataset.bytes', liveBytes],
  ]
  const doubles: readonly (readonly [string, number])[] = [
    ['dataset.percentage', usedBytes === 0 ? 0 : (100 * liveBytes) / usedBytes],
    ['fragmentation', liveBytes === 0 ? 0 : usedBytes / liveBytes],
  ]
  out.map(integers.length + doubles.length)
  for (const [name, value] of integers) {
    out.text(name)
    out.integer(value)
  }
  for (const [name, value] of doubles) {
    out.text(name)
    out.double(value)
  }
}

export function memoryDoctor({ store, out }: Call): void {
  const { memoryBytes, usedBytes, evicted, shardsWiped } = store.statistics()
  const said = [
    `${Math.round((100 * usedBytes) / memoryBytes)}% of ${memoryBytes} bytes of memory (--memory) are in use.`,
  ]
  if (evicted > 0) said.push(`${evicted} keys were evicted to make room: with more memory they would have stayed.`)
  if (shardsWiped > 0) said.push(`${shardsWiped} times a shard was emptied after a fault: see the log.`)
  out.verbatim('txt', said.join('\n') + '\n')
}
