// This process's memory as a database's own thread sees it. Not for: threads that serve requests (server/open-cache.ts).
import type { Clock } from '../base/clock.ts'
import { Store } from '../store/store.ts'
import type { RecordMemory } from '../tier/embedded-tier.ts'
import { LaneTable } from '../tier/lane-table.ts'
import type { SourceThreadOptions } from './source-thread.ts'

/** What an embedded tier or a near cache in it is made of. */
export function threadMemory(options: SourceThreadOptions, clock: Clock): RecordMemory {
  const { thread, firstLane, lanes, keyspaces } = options
  const numbers = new Map(keyspaces.map(({ name, number }) => [name, number]))
  return {
    store: Store.attach(options.store, thread),
    table: LaneTable.attach(options.laneTable, thread),
    firstLane,
    lanes,
    clock,
    keyspaceOf: key => numbers.get(key.slice(0, key.indexOf(':')))!,
  }
}
