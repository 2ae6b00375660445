// A record's parts, by its first unit (store/layout.ts draws it). Plain functions of memory: who may call them is the
// caller's business.
import {
  COHERENT_BYTES,
  EXPIRY_BYTES,
  FLAG_COHERENT,
  FLAG_EXPIRES,
  HEADER_BYTES,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import type { Memory } from './memory.ts'

/** Bytes from the record's start to its key. */
export function keyOffsetBytes(memory: Memory, record: number): number {
  const words = memory.words[record >>> WINDOW_SHIFT]!
  const at = (record & WINDOW_MASK) << 1
  const meta = words[at]!
  let offset = HEADER_BYTES
  if ((meta & FLAG_EXPIRES) !== 0) offset += EXPIRY_BYTES
  if ((meta & FLAG_COHERENT) !== 0) {
    const stampBytes = words[at + ((offset + 8) >> 2)]!
    offset += COHERENT_BYTES + ((stampBytes + 7) & ~7)
  }
  return offset
}

export function recordUnits(memory: Memory, record: number): number {
  const words = memory.words[record >>> WINDOW_SHIFT]!
  const at = (record & WINDOW_MASK) << 1
  return (keyOffsetBytes(memory, record) + (words[at]! & 0xffff) + words[at + 1]! + 7) >>> 3
}

export function recordType(memory: Memory, record: number): number {
  return (memory.words[record >>> WINDOW_SHIFT]![(record & WINDOW_MASK) << 1]! >>> 16) & 15
}

export function recordHash(memory: Memory, record: number): number {
  return memory.words[record >>> WINDOW_SHIFT]![((record & WINDOW_MASK) << 1) + 3]!
}

/** The wall clock, in ms, at which the record ends; 0: never. */
export function recordExpiresAtMs(memory: Memory, record: number): number {
  const words = memory.words[record >>> WINDOW_SHIFT]!
  const at = (record & WINDOW_MASK) << 1
  if ((words[at]! & FLAG_EXPIRES) === 0) return 0
  return memory.doubles[record >>> WINDOW_SHIFT]![(at + 4) >>> 1]!
}
