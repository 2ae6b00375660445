// What may happen to bytes on their way from a client that has lost its mind.
import type { Random } from '../../src/base/random.ts'

const LENGTHS = ['-1', '0', '1', '2', '5', '10', '100', '65536', '1048577', '67174401', '536870913', '4294967296', '99999999999999999999', 'x', '+1', '01', ''] // prettier-ignore
const PIECES = ['\r\n', '\n', '\r', '*', '$', '*1\r\n', '*0\r\n', '*-1\r\n', '$-1\r\n', '"', "'", '\0', ' ', '*2\r\n$4\r\nECHO\r\n', 'PING\r\n', '\\x'] // prettier-ignore

/** A damaged copy. */
export function damage(bytes: Buffer, random: Random): Buffer {
  let damaged = bytes
  for (let times = 1 + random.below(4); times > 0; times--) damaged = once(damaged, random)
  return damaged
}

function once(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  const length = random.below(random.below(3) === 0 ? 1 + bytes.length - at : Math.min(20, 1 + bytes.length - at))
  switch (random.below(8)) {
    case 0: {
      const copy = Buffer.from(bytes)
      for (let i = at; i < Math.min(at + 1 + random.below(4), copy.length); i++) copy[i] = random.below(256)
      return copy
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 2:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
    case 3:
      return Buffer.concat([bytes.subarray(0, at), pick(PIECES, random), bytes.subarray(at)])
    case 4:
      return bytes.subarray(0, at)
    case 5:
      return Buffer.concat([bytes.subarray(0, at), noise(random), bytes.subarray(at)])
    default:
      return lie(bytes, at, random)
  }
}

function pick(from: readonly string[], random: Random): Buffer {
  return Buffer.from(from[random.below(from.length)]!)
}

function noise(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.below(50) }, () => random.below(256)))
}

/** Another number in the next length line after `at`. */
function lie(bytes: Buffer, at: number, random: Random): Buffer {
  const dollar = bytes.indexOf('$', at)
  const star = bytes.indexOf('*', at)
  const mark = random.below(2) === 0 && star >= 0 ? star : dollar
  const end = mark < 0 ? -1 : bytes.indexOf('\r', mark)
  if (end < 0) return bytes
  const told = Number(bytes.toString('latin1', mark + 1, end))
  const near = Buffer.from(String(told + random.below(5) - 2))
  const length = random.below(2) === 0 ? near : pick(LENGTHS, random)
  return Buffer.concat([bytes.subarray(0, mark + 1), length, bytes.subarray(end)])
}
