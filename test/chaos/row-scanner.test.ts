// The scanner of replies finds every row, however the bytes are cut.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowScanner } from './row-scanner.ts'

const row = (id: number): string => `{"id":${id},"version":${id + 1},"seal":${id + 2},"writer":${id + 3},"note":"a:1"}`
const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const stream = [
  bulk(row(5)),
  '$-1\r\n',
  `*3\r\n${bulk(row(123456789))}$-1\r\n${bulk(row(0))}`,
  '-STALE no answer\r\n',
  bulk(row(7)),
].join('')
const expected = ['row 5 6 7 8', 'end', 'absent', 'end', 'row 123456789 123456790 123456791 123456792', 'absent', 'row 0 1 2 3', 'end', 'error -STALE no answer', 'end', 'row 7 8 9 10', 'end'] // prettier-ignore

function scanned(chunks: readonly Buffer[]): string[] {
  const seen: string[] = []
  const scanner = new RowScanner({
    row: (...numbers) => void seen.push(`row ${numbers.join(' ')}`),
    absent: () => void seen.push('absent'),
    error: text => void seen.push(`error ${text}`),
    replyEnd: () => void seen.push('end'),
  })
  for (const chunk of chunks) scanner.push(chunk)
  return seen
}

test('rows, rows that are not there, errors and ends of replies come in order', () => {
  assert.deepEqual(scanned([Buffer.from(stream)]), expected)
})

test('the same wherever the stream is cut', () => {
  const bytes = Buffer.from(stream)
  for (let at = 1; at < bytes.length; at++) {
    assert.deepEqual(scanned([bytes.subarray(0, at), bytes.subarray(at)]), expected, `cut at ${at}`)
  }
  const single = Array.from(bytes, byte => Buffer.from([byte]))
  assert.deepEqual(scanned(single), expected)
})
