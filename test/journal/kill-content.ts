// What the process that is killed appends: each entry says who wrote it and under which number, and is filled from both.
import { crc32 } from 'node:zlib'
import { seededRandom } from '../../src/base/random.ts'

/** Small files, so that a round goes through several. */
export const killOptions = { fileBytesMax: 200_000, bytesMax: 50_000_000 } as const

const HEAD_BYTES = 12
const LONGEST_BYTES = 2_000

export function contentOf(label: number, sequence: number): Buffer {
  const random = seededRandom(label * 2 ** 24 + sequence)
  const content = Buffer.alloc(HEAD_BYTES + random.below(LONGEST_BYTES), random.below(256))
  content.writeUInt32LE(label, 0)
  content.writeUInt32LE(sequence, 4)
  content.writeUInt32LE(crc32(content.subarray(0, 8)), 8)
  return content
}

export function labelOf(content: Buffer): number {
  return content.length < HEAD_BYTES ? NaN : content.readUInt32LE(0)
}
