// What one key is to whoever uses it: nothing or a text, and what each command does with it and says. The sequential
// specification that histories are checked against; a pure function.
// Not for: expiry, eviction, hashes, and how texts travel.

export type Kind =
  'get' | 'set' | 'setnx' | 'set nx' | 'set xx' | 'getset' | 'getdel' | 'del' | 'incr' | 'append' | 'strlen'

/** `null`: the key is not there. */
export type State = string | null

export interface Input {
  readonly kind: Kind
  /** What is set or appended; '' for kinds that take nothing. */
  readonly argument: string
}

/** A text that was replied, null, a number, or `OK`; an error reply is `-` and its first word. */
export type Output = string | number | null

/** The operation could not have replied that in this state. */
export const IMPOSSIBLE: unique symbol = Symbol('impossible')

const WHOLE_NUMBER = /^-?\d{1,15}$/

/** The state after the operation, or IMPOSSIBLE. */
export function apply(state: State, { kind, argument }: Input, output: Output): State | typeof IMPOSSIBLE {
  switch (kind) {
    case 'get':
      return output === state ? state : IMPOSSIBLE
    case 'set':
      return output === 'OK' ? argument : IMPOSSIBLE
    case 'set nx':
      return output === (state === null ? 'OK' : null) ? (state ?? argument) : IMPOSSIBLE
    case 'setnx':
      return output === (state === null ? 1 : 0) ? (state ?? argument) : IMPOSSIBLE
    case 'set xx':
      if (state === null) return output === null ? null : IMPOSSIBLE
      return output === 'OK' ? argument : IMPOSSIBLE
    case 'getset':
      return output === state ? argument : IMPOSSIBLE
    case 'getdel':
      return output === state ? null : IMPOSSIBLE
    case 'del':
      return output === (state === null ? 0 : 1) ? null : IMPOSSIBLE
    case 'strlen':
      return output === (state ?? '').length ? state : IMPOSSIBLE
    case 'append': {
      const text = (state ?? '') + argument
      return output === text.length ? text : IMPOSSIBLE
    }
    case 'incr':
      return increment(state, output)
  }
}

/** With this output the operation changes nothing, in whatever state it takes effect. */
export function isTraceless({ kind }: Input, output: Output): boolean {
  switch (kind) {
    case 'get':
    case 'strlen':
      return true
    case 'setnx':
    case 'del':
      return output === 0
    case 'set nx':
    case 'set xx':
    case 'getdel':
      return output === null
    default:
      return false
  }
}

function increment(state: State, output: Output): State | typeof IMPOSSIBLE {
  if (state !== null && !WHOLE_NUMBER.test(state)) return output === '-ERR' ? state : IMPOSSIBLE
  const sum = Number(state ?? '0') + 1
  return output === sum ? String(sum) : IMPOSSIBLE
}
