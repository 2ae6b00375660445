// A short run of the fuzzer, always of the same seed; `npm run fuzz` is for long ones. And that what it sends is what it
// means to send.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { commandTable } from '../../src/server/commands/table.ts'
import { RequestParser } from '../../src/wire/request-parser.ts'
import { encode, FuzzCases } from './fuzz-case.ts'
import { fuzz } from './fuzzer.ts'
import { largeValue, RandomRequests } from './random-requests.ts'

test('200,000 random and damaged commands over many connections: the server lives, and answers each right', async t => {
  const result = await fuzz({
    seed: 1,
    commands: 200_000,
    clock: systemClock(),
    progress: () => {},
    wrong: flaw => t.diagnostic(flaw),
  })
  t.diagnostic(JSON.stringify({ ...result, smallest: undefined }))
  const bytes = Buffer.concat(result.smallest?.parts.map(part => part.bytes) ?? []).toString('latin1', 0, 2_000)
  assert.equal(result.flaw, undefined, `--seed 1 --case ${result.smallest?.index}: ${JSON.stringify(bytes)}`)
  assert.ok(result.commands >= 200_000 && result.after.commands > 80_000)
  assert.deepEqual(Object.keys(result.kinds).sort(), ['cut', 'damaged', 'exact', 'half-closed', 'unread'])
  assert.ok(result.witnessHits > 0, 'the witness found again what it wrote')
})

test('every command of the table is sent, often with a number of arguments that it takes', () => {
  const requests = new RandomRequests(seededRandom(7), commandTable.commands)
  const sent = new Map<string, { right: number; wrong: number }>()
  for (let i = 0; i < 60_000; i++) {
    const { name, args } = requests.next(true)
    const counts = sent.get(name) ?? { right: 0, wrong: 0 }
    const arity = commandTable.named(name)!.arity
    if (arity > 0 ? args.length === arity : args.length >= -arity) counts.right++
    else counts.wrong++
    sent.set(name, counts)
  }
  const never = ['shutdown', 'debug', 'wait']
  const missing = commandTable.commands.map(({ name }) => name).filter(name => !sent.has(name) && !never.includes(name))
  assert.deepEqual(missing, [])
  for (const [name, { right, wrong }] of sent) assert.ok(right * 5 > wrong, `${name}: ${right} right, ${wrong} wrong`)
})

test('a case is the same for the same seed and index, and its requests are well-formed unless they are damaged', () => {
  const large = largeValue()
  const cases = new FuzzCases(5, commandTable.commands, large)
  const again = new FuzzCases(5, commandTable.commands, large)
  for (let index = 0; index < 100; index++) {
    const one = cases.at(index)
    assert.deepEqual(one, again.at(index))
    if (one.kind === 'damaged') continue
    for (const { bytes } of one.parts) {
      const parser = new RequestParser()
      parser.authenticated = true
      assert.equal(parser.parse(bytes, 0, bytes.length), bytes.length, bytes.toString('latin1', 0, 200))
      assert.ok(parser.argc > 0)
    }
  }
  assert.equal(encode([Buffer.from('PING')]).toString(), '*1\r\n$4\r\nPING\r\n')
})
