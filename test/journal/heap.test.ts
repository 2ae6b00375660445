// The heap against sorting.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heap } from '../../src/journal/heap.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

test('what is taken out is always the least of what is in', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(50)), { maxLength: 200, size: 'max' }), items => {
      const heap = new Heap<number>((a, b) => a < b)
      let sorted: number[] = []
      for (const item of items) {
        if (item === null) assert.equal(heap.pop(), sorted.shift())
        else {
          heap.push(item)
          sorted = [...sorted, item].sort((a, b) => a - b)
        }
        assert.equal(heap.first(), sorted[0])
        assert.equal(heap.size, sorted.length)
      }
      while (heap.size > 0) assert.equal(heap.pop(), sorted.shift())
    }),
  )
})
