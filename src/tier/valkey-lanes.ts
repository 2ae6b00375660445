// Where lanes lie in a cluster: every key of a lane carries the lane's hash tag, so that all of them are in one slot, and
// the tags are such that the slots of all lanes are as far from each other as they can be. The same in every process.
// Not for: which server has a slot (valkey-nodes.ts).
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'

export const CLUSTER_SLOTS = 16_384

/** What each byte does to a CRC-16/XMODEM, by which Redis and Valkey place keys. */
function crcTable(): Uint16Array {
  const table = new Uint16Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    table[byte] = crc
  }
  return table
}

const CRC_OF_BYTE = crcTable()

function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (let index = 0; index < bytes.length; index++) {
    crc = ((crc << 8) & 0xffff) ^ CRC_OF_BYTE[(crc >>> 8) ^ bytes[index]!]!
  }
  return crc
}

/** The slot of a key: of what stands between its first `{` and the next `}`, if that is something, else of all of it. */
export function slotOf(key: Uint8Array): number {
  const open = key.indexOf(0x7b)
  const close = open < 0 ? -1 : key.indexOf(0x7d, open + 1)
  return crc16(close > open + 1 ? key.subarray(open + 1, close) : key) % CLUSTER_SLOTS
}

/** The slot in the middle of the lane's share of all slots. */
export function laneSlot(lane: number, lanes: number): number {
  return Math.floor(((lane + 0.5) * CLUSTER_SLOTS) / lanes)
}

/** One tag a lane, in the order of the lanes: the first of `t0`, `t1`, ... that falls into the lane's slot. */
export function laneTags(lanes: number): readonly string[] {
  assert(lanes >= 1 && lanes <= limits.lanesMax, 'lanes are within their limit')
  const laneAt = new Int32Array(CLUSTER_SLOTS).fill(-1)
  for (let lane = 0; lane < lanes; lane++) laneAt[laneSlot(lane, lanes)] = lane
  const tags: string[] = []
  let found = 0
  for (let n = 0; found < lanes; n++) {
    const tag = `t${n}`
    const lane = laneAt[crc16(Buffer.from(tag)) % CLUSTER_SLOTS]!
    if (lane < 0 || tags[lane] !== undefined) continue
    tags[lane] = tag
    found++
  }
  return tags
}

/** The names of one lane's keys. All begin alike and end in one letter, a record's followed by its key. */
export class LaneNames {
  readonly slot: number
  readonly header: Buffer
  readonly recent: Buffer
  /** The sharded channel of the lane's messages. */
  readonly channel: string
  readonly #record: Buffer

  constructor(prefix: string, tag: string) {
    const stem = `${prefix}:{${tag}}:`
    this.header = Buffer.from(`${stem}h`)
    this.recent = Buffer.from(`${stem}r`)
    this.channel = `${stem}m`
    this.#record = Buffer.from(`${stem}k`)
    this.slot = slotOf(this.header)
  }

  record(key: string): Buffer {
    return Buffer.concat([this.#record, Buffer.from(key)])
  }
}
