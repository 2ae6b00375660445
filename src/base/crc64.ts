// CRC-64 as Redis puts it behind dumped values (Jones' polynomial, reflected, no inversion), in two halves of 32 bits.
// Not for: anything that must withstand someone who wants a collision.

const POLYNOMIAL = 0x95ac9329ac4bc9b5n

function tableOf(shift: bigint): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n
    return Number((crc >> shift) & 0xffff_ffffn)
  })
}

const lowTable = tableOf(0n)
const highTable = tableOf(32n)

/** The checksum of bytes[start, end), an unsigned 64-bit number. */
export function crc64(bytes: Uint8Array, start: number = 0, end: number = bytes.length): bigint {
  let low = 0
  let high = 0
  for (let i = start; i < end; i++) {
    const at = (low ^ bytes[i]!) & 0xff
    low = ((low >>> 8) | (high << 24)) ^ lowTable[at]!
    high = (high >>> 8) ^ highTable[at]!
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
