// Every invariant of a room, asserted: queues, free slots, books and maps tell the same story. For tests.
// Not for: whether the right entry left; that is no invariant.
import { assert } from '../base/assert.ts'
import type { Room } from './room.ts'
import { FIRST_SLOT, MAIN_END, SMALL_END } from './slots.ts'

/** Throws AssertionError at the first that is broken. */
export function checkRoom<V>(room: Room<V>): void {
  const books = room.books()
  const seen = new Set<number>()
  const small = checkQueue(room, SMALL_END, seen)
  const main = checkQueue(room, MAIN_END, seen)
  assert(small.entries === books.small && main.entries === books.main, 'the queues hold as many entries as counted')
  assert(small.bytes === books.smallBytes && main.bytes === books.mainBytes, 'the queues hold as many bytes as counted')
  assert(room.entries <= room.entriesMax, 'there are no more entries than there is room for')
  assert(room.totalBytes <= room.bytesMax, 'there are no more bytes than there is room for')
  for (const slot of room.freeSlots()) {
    assert(!seen.has(slot) && slot >= FIRST_SLOT && slot < room.unused, `slot ${slot} is free once, and in no queue`)
    seen.add(slot)
    const empty = room.key(slot) === undefined && room.value(slot) === undefined
    assert(empty && room.stamp(slot) === undefined && room.tags(slot) === undefined, `slot ${slot} holds nothing`)
  }
  assert(seen.size === room.unused - FIRST_SLOT, 'every slot is in a queue or free')
  checkSpaces(room)
}

function checkQueue<V>(room: Room<V>, end: number, seen: Set<number>): { entries: number; bytes: number } {
  let entries = 0
  let bytes = 0
  let before = end
  for (let slot = room.next(end); slot !== end; slot = room.next(slot)) {
    assert(slot >= FIRST_SLOT && slot < room.unused && !seen.has(slot), `slot ${slot} is in one queue, once`)
    seen.add(slot)
    assert(room.prev(slot) === before, `slot ${slot} knows which one is before it`)
    before = slot
    checkEntry(room, slot, end)
    entries++
    bytes += room.bytes(slot)
  }
  assert(room.prev(end) === before, 'the end of a queue knows which one is last')
  return { entries, bytes }
}

function checkEntry<V>(room: Room<V>, slot: number, end: number): void {
  const meta = room.meta(slot)
  assert(room.isMain(meta) === (end === MAIN_END), `slot ${slot} knows its queue`)
  assert(room.isTagged(meta) === (room.tags(slot) !== undefined), `slot ${slot} knows whether it has tags`)
  assert(room.lane(slot) < room.asOfMs.length, `slot ${slot} is of a lane that there is`)
  assert(room.key(slot) !== undefined, `slot ${slot} holds an entry`)
  const { slotsOf, orphansOf } = room.books()
  const space = room.space(slot)
  const found = slotsOf[space]?.get(room.key(slot)!)
  assert(found === slot || (slotsOf[space] === undefined && orphansOf[space]! > 0), `slot ${slot} is found by its key`)
}

function checkSpaces<V>(room: Room<V>): void {
  const { slotsOf, orphansOf, orphans, freeNumbers } = room.books()
  let mapped = 0
  for (const slots of slotsOf) mapped += slots?.size ?? 0
  const counted = new Array<number>(slotsOf.length).fill(0)
  for (let slot = FIRST_SLOT; slot < room.unused; slot++) {
    const space = room.space(slot)
    if (room.key(slot) !== undefined && slotsOf[space] === undefined) counted[space]!++
  }
  for (const [space, count] of counted.entries()) {
    assert(orphansOf[space] === count, `space ${space} has as many orphans as counted`)
    const free = freeNumbers.includes(space)
    assert(free === (slotsOf[space] === undefined && count === 0), `space ${space} is free when nothing is left of it`)
  }
  const sum = counted.reduce((total, count) => total + count, 0)
  assert(orphans === sum && mapped + orphans === room.entries, 'every entry is in a map or an orphan')
}
