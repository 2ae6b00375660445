// What a client may be called (CLIENT SETNAME, CLIENT SETINFO, HELLO SETNAME): printable ASCII without blanks, so that a
// line of CLIENT LIST can be cut at its blanks.
import type { Call } from './command.ts'

export const CLIENT_NAME_ERROR = 'ERR Client names cannot contain spaces, newlines or special characters.'

export function isClientName(call: Call, i: number): boolean {
  for (let at = call.start[i]!; at < call.end[i]!; at++) {
    const byte = call.buffer[at]!
    if (byte < 0x21 || byte > 0x7e) return false
  }
  return true
}
