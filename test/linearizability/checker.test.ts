// The checker itself: small histories whose answer is known, and random ones against a search through all orders.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { checkHistory } from './checker.ts'
import type { Operation } from './checker.ts'
import { apply, IMPOSSIBLE } from './register.ts'
import type { Kind, Output, State } from './register.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

/** Of a client of its own. */
function op(call: number, response: number, kind: Kind, argument: string, output: Output, key = 'k'): Operation {
  return { key, client: call * 1_000 + response, call, response, kind, argument, output }
}

function pipeline(...operations: Operation[]): Operation[] {
  return operations.map(operation => ({ ...operation, client: 0 }))
}

const linearizable: Readonly<Record<string, readonly Operation[]>> = {
  'nothing at all': [],
  'one after the other': [op(1, 2, 'set', 'a', 'OK'), op(3, 4, 'get', '', 'a'), op(5, 6, 'del', '', 1)],
  'a read during a write sees the old value': [op(1, 10, 'set', 'a', 'OK'), op(2, 3, 'get', '', null)],
  'a read during a write sees the new value': [op(1, 10, 'set', 'a', 'OK'), op(2, 3, 'get', '', 'a')],
  'a later write may come first': [op(1, 10, 'set', 'a', 'OK'), op(2, 9, 'set', 'b', 'OK'), op(11, 12, 'get', '', 'a')],
  'a response that never came may have taken effect': [op(1, Infinity, 'set', 'a', 'OK'), op(5, 6, 'get', '', 'a')],
  'a response that never came may not have taken effect': [
    op(1, Infinity, 'set', 'a', 'OK'),
    op(5, 6, 'get', '', null),
    op(7, 8, 'get', '', null),
  ],
  'two increments at once': [op(1, 4, 'incr', '', 2), op(2, 3, 'incr', '', 1)],
  'one of two wins a lock': [op(1, 4, 'set nx', 'a', null), op(2, 3, 'setnx', 'b', 1), op(5, 6, 'get', '', 'b')],
  'keys have nothing to do with each other': [op(1, 2, 'set', 'a', 'OK', 'x'), op(3, 4, 'get', '', null, 'y')],
  'a pipeline takes effect in its order': [
    ...pipeline(op(1, 10, 'set', 'a', 'OK'), op(2, 11, 'set', 'b', 'OK'), op(3, 12, 'get', '', 'b')),
    op(4, 5, 'get', '', 'a'),
  ],
  'a call at the instant of a response is concurrent': [op(1, 5, 'set', 'a', 'OK'), op(5, 6, 'get', '', null)],
}

const broken: Readonly<Record<string, readonly Operation[]>> = {
  'a value that nobody wrote': [op(1, 2, 'set', 'a', 'OK'), op(3, 4, 'get', '', 'b')],
  'a stale read': [op(1, 2, 'set', 'a', 'OK'), op(3, 4, 'set', 'b', 'OK'), op(5, 6, 'get', '', 'a')],
  'a value that goes back': [
    op(1, 2, 'set', 'a', 'OK'),
    op(3, 20, 'set', 'b', 'OK'),
    op(4, 5, 'get', '', 'b'),
    op(6, 7, 'get', '', 'a'),
  ],
  'two readers see two writes in different order': [
    op(1, 20, 'set', 'a', 'OK'),
    op(1, 21, 'set', 'b', 'OK'),
    op(2, 3, 'get', '', 'a'),
    op(4, 5, 'get', '', 'b'),
    op(6, 7, 'get', '', 'a'),
  ],
  'a lost increment': [op(1, 4, 'incr', '', 1), op(2, 3, 'incr', '', 1)],
  'both win a lock': [op(1, 4, 'set nx', 'a', 'OK'), op(2, 3, 'setnx', 'b', 1)],
  'two delete the same value': [op(1, 2, 'set', 'a', 'OK'), op(3, 6, 'del', '', 1), op(4, 5, 'getdel', '', 'a')],
  'a lost append': [op(1, 4, 'append', 'a', 1), op(2, 3, 'append', 'b', 1)],
  'a write that never responded takes effect twice': [
    op(1, Infinity, 'set', 'a', 'OK'),
    op(2, 3, 'getdel', '', 'a'),
    op(4, 5, 'get', '', 'a'),
  ],
  'a pipeline that takes effect in another order': [
    ...pipeline(op(1, 10, 'set', 'a', 'OK'), op(2, 11, 'set', 'b', 'OK')),
    op(12, 13, 'get', '', 'a'),
  ],
  'a read in a pipeline that overtakes a write': pipeline(op(1, 10, 'set', 'a', 'OK'), op(2, 11, 'get', '', null)),
  'only the second of two keys is wrong': [op(1, 2, 'set', 'a', 'OK', 'x'), op(3, 4, 'get', '', 'a', 'y')],
}

describe('a history that is linearizable', () => {
  for (const [name, history] of Object.entries(linearizable)) {
    test(name, () => {
      const verdict = checkHistory(history)
      assert.ok(verdict.linearizable, verdict.why ?? '')
      assert.equal(verdict.operations, history.length)
    })
  }
})

describe('a history that is not linearizable', () => {
  for (const [name, history] of Object.entries(broken)) {
    test(name, () => {
      const verdict = checkHistory(history)
      assert.equal(verdict.linearizable, false)
      assert.match(verdict.why ?? '', /^key \w: no order of the operations explains this response:\n {2}\[/)
    })
  }
})

function isBefore(a: Operation, b: Operation): boolean {
  return a.client === b.client && a.call < b.call
}

/** By trying all orders, without any cleverness. */
function isLinearizable(left: readonly Operation[], state: State): boolean {
  if (left.every(operation => operation.response === Infinity)) return true
  const firstResponse = Math.min(...left.map(operation => operation.response))
  return left.some(operation => {
    if (operation.call > firstResponse || left.some(other => isBefore(other, operation))) return false
    const next = apply(state, operation, operation.output)
    return (
      next !== IMPOSSIBLE &&
      isLinearizable(
        left.filter(other => other !== operation),
        next,
      )
    )
  })
}

const kinds: readonly Kind[] = ['get', 'set', 'setnx', 'set nx', 'set xx', 'getset', 'getdel', 'del', 'incr', 'append']

/** Operations that overlap, with responses some of which are as they would be in the order of their calls. */
const histories: fc.Arbitrary<Operation[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      argument: fc.constantFrom('1', '2', 'a'),
      length: fc.constantFrom(1, 3, 6, 12, Infinity),
      gap: fc.nat(3),
      pipelined: fc.boolean(),
      lie: fc.constantFrom<Output | undefined>(undefined, undefined, undefined, undefined, null, '1', 'OK', 1),
    }),
    { maxLength: 7 },
  )
  .map(parts => {
    let at = 0
    let state: State = null
    let previous: Operation | undefined
    return parts.map(({ kind, argument, length, gap, pipelined, lie }, i) => {
      at += gap
      const honest: Output =
        outputs.find(output => apply(state, { kind, argument }, output) !== IMPOSSIBLE) ?? state ?? '-ERR'
      const output = lie === undefined ? honest : lie
      const next = apply(state, { kind, argument }, output)
      if (next !== IMPOSSIBLE) state = next
      const call = pipelined && previous !== undefined ? Math.max(at, previous.call + 1) : at
      const operation = { ...op(call, call + length, kind, argument, output), client: i }
      const response = Math.max(operation.response, (previous?.response ?? 0) + 1)
      previous = pipelined && previous !== undefined ? { ...operation, response, client: previous.client } : operation
      at = call
      return previous
    })
  })
const outputs: readonly Output[] = ['OK', null, 0, 1, 2, 3, 4, 5, 6, 7, 8, '-ERR']

test('random histories: the same answer as trying all orders gives', () => {
  const counts = { true: 0, false: 0 }
  fc.assert(
    fc.property(histories, history => {
      const expected = isLinearizable(history, null)
      counts[`${expected}`]++
      assert.equal(checkHistory(history).linearizable, expected)
    }),
    { numRuns: 3_000 },
  )
  assert.ok(counts.true > 300 && counts.false > 300, JSON.stringify(counts))
})

test('a long history takes memory for what overlaps alone', () => {
  const history = Array.from({ length: 50_000 }, (_, i) => ({
    ...op(i * 10, i * 10 + 25, 'incr', '', i + 1),
    client: i % 3,
  }))
  const verdict = checkHistory(history)
  assert.ok(verdict.linearizable, verdict.why ?? '')
  assert.equal(verdict.overlapping, 3)
  assert.ok(verdict.configurations <= 4, String(verdict.configurations))
})
