// When replies are sent, by batches that the test makes itself.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ReplyQueue, type ReplySender } from '../../src/server/reply-queue.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

class Sender implements ReplySender {
  replyWaits = false
  takes = true
  /** What was sent, as the memory is now: of what the kernel did not take, that has to stay as it was. */
  readonly sent: Buffer[] = []

  send(buffer: Buffer, start: number, end: number): boolean {
    this.replyWaits = false
    const bytes = buffer.subarray(start, end)
    this.sent.push(this.takes ? Buffer.from(bytes) : bytes)
    return this.takes
  }

  get text(): string {
    return Buffer.concat(this.sent).toString()
  }
}

function opened(): { out: ReplyWriter; queue: ReplyQueue } {
  const out = new ReplyWriter(256)
  return { out, queue: new ReplyQueue(out, 1024) }
}

test('one that is busy alone is answered at once', () => {
  const { out, queue } = opened()
  const sender = new Sender()
  for (let i = 0; i < 3; i++) {
    queue.begin(sender, i * 0.01)
    out.simple('OK')
    queue.end(sender, 1000)
    assert.equal(sender.text, '+OK\r\n'.repeat(i + 1))
  }
})

test('a batch waits no longer than until the next begins 0.3 ms later', () => {
  const { out, queue } = opened()
  const [first, second, third] = [new Sender(), new Sender(), new Sender()]
  for (const [sender, nowMs] of [
    [first, 5],
    [second, 5.1],
    [third, 5.5],
  ] as const) {
    queue.begin(sender, nowMs)
    out.simple('OK')
    queue.end(sender, 1000)
  }
  assert.deepEqual([first.text, second.text, third.text], ['+OK\r\n', '+OK\r\n', ''])
  assert.equal(third.replyWaits, true)
})

test('a cut request and what came behind it are answered in one piece, also where others wait', async () => {
  const { out, queue } = opened()
  const [first, second] = [new Sender(), new Sender()]
  for (const sender of [first, second]) {
    for (const more of [true, false]) {
      queue.begin(sender, 1)
      out.simple('OK')
      queue.end(sender, 1000, more)
    }
  }
  assert.deepEqual(first.sent.map(String), ['+OK\r\n+OK\r\n'])
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(second.sent.map(String), ['+OK\r\n+OK\r\n'])
})

test('a batch behind which nothing comes after all is sent at the end of the turn', async () => {
  const { out, queue } = opened()
  const sender = new Sender()
  queue.begin(sender, 1)
  out.simple('OK')
  queue.end(sender, 1000, true)
  assert.equal(sender.text, '')
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(sender.text, '+OK\r\n')
})

test('a batch that is left without replies sends nothing', () => {
  const { out, queue } = opened()
  const sender = new Sender()
  queue.begin(sender, 1)
  out.simple('OK')
  out.truncate(0)
  queue.end(sender, 1000)
  assert.equal(sender.sent.length, 0)
  assert.equal(sender.replyWaits, false)
})

test('everyone gets its own replies in order, whatever the kernel takes and whenever messages hurry them', async () => {
  const step = fc.record({
    who: fc.nat(3),
    afterMs: fc.double({ min: 0, max: 0.5, noNaN: true }),
    replies: fc.array(fc.nat(400), { maxLength: 4 }),
    takes: fc.boolean(),
    more: fc.boolean(),
    hurriedAt: fc.option(fc.nat(3)),
    soFarAt: fc.option(fc.nat(3)),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
      const { out, queue } = opened()
      const senders = Array.from({ length: 4 }, () => new Sender())
      const expected = senders.map(() => '')
      let nowMs = 0
      let serial = 0
      for (const { who, afterMs, replies, takes, more, hurriedAt, soFarAt } of steps) {
        nowMs += afterMs
        const sender = senders[who]!
        sender.takes = takes
        queue.begin(sender, nowMs)
        for (const [i, bytes] of replies.entries()) {
          const text = `${serial++}`.padEnd(bytes, '.')
          out.simple(text)
          expected[who] += `+${text}\r\n`
          if (hurriedAt === i) queue.sendAll()
          if (soFarAt === i) queue.sendSoFar(sender)
        }
        queue.end(sender, 600, more)
      }
      await new Promise(resolve => setImmediate(resolve))
      assert.deepEqual(
        senders.map(sender => sender.text),
        expected,
      )
      assert.ok(senders.every(({ replyWaits }) => !replyWaits))
    }),
  )
})
