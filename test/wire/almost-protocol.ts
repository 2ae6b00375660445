// Text made of what the Redis protocol is made of, in any order, so that a good part of it gets far into a parser.
import fc from 'fast-check'

const pieces = ['*', '$', '\r\n', '\r', '\n', '-', '0', '1', '2', '3', '10', ' ', '"', "'"]
const starts = [
  '*1\r\n',
  '*2\r\n',
  '*3\r\n',
  '$1\r\n',
  '$4\r\nECHO\r\n',
  '$2\r\nab\r\n',
  'PING\r\n',
  'echo ',
  '*11\r\n',
  '$-1\r\n',
  '*-1\r\n',
]
const oddities = ['\\', '\\x41', 'x', '\v', '\t', '99999999999999999999', '70000', "\\'"]

/** `more` are further pieces that may occur. */
export function almostProtocol(more: readonly string[] = []): fc.Arbitrary<string> {
  const part = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...pieces) },
    { weight: 5, arbitrary: fc.constantFrom(...starts) },
    { weight: 1, arbitrary: fc.constantFrom(...oddities, ...more) },
  )
  return fc.array(part, { maxLength: 30 }).map(parts => parts.join(''))
}
