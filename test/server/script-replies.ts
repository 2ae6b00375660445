// What a script of commands is, and the error replies that many of them have.
import type { Argument } from '../support/call.ts'

export type Step = readonly [command: string | readonly Argument[], reply: unknown]
export type Scripts = Readonly<Record<string, readonly Step[]>>

export const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value'
export const NOT_AN_INTEGER = '-ERR value is not an integer or out of range'
export const NOT_A_FLOAT = '-ERR value is not a valid float'
export const NOT_FINITE = '-ERR increment would produce NaN or Infinity'
export const SYNTAX = '-ERR syntax error'
export const OVERFLOW = '-ERR increment or decrement would overflow'
export const BAD_OFFSET = '-ERR bit offset is not an integer or out of range'
export const BAD_BIT = '-ERR bit is not an integer or out of range'
export const BAD_TYPE =
  '-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.'
export const BAD_CURSOR = '-ERR invalid cursor'

export function arity(name: string): string {
  return `-ERR wrong number of arguments for '${name}' command`
}
