// The command table: lookup by bytes, arity, keys.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { arityHolds, keyPositions } from '../../src/server/commands/command-table.ts'
import { commandTable } from '../../src/server/commands/table.ts'

function find(name: string | Buffer): string | undefined {
  const bytes = Buffer.concat([Buffer.from('<<'), Buffer.from(name), Buffer.from('>>')])
  return commandTable.commands[commandTable.find(bytes, 2, bytes.length - 2)]?.name
}

test('every command is found by its name in any case, and by nothing else', () => {
  for (const { name } of commandTable.commands) {
    assert.equal(find(name), name)
    assert.equal(find(name.toUpperCase()), name)
    assert.equal(find(name[0]!.toUpperCase() + name.slice(1)), name)
    const names = new Set(commandTable.commands.map(each => each.name))
    for (const near of [name.slice(1), name.slice(0, -1), `${name}x`, `${name}\0`, ` ${name}`]) {
      if (!names.has(near)) assert.equal(find(near), undefined, near)
    }
  }
  for (const other of ['', 'x'.repeat(33), 'x'.repeat(10_000), Buffer.from([0x27, 0x25, 0x34]), '@get', '{get']) {
    assert.equal(find(other), undefined)
  }
})

test('every row is complete: keys fit the arity, flags say whether it reads or writes', () => {
  for (const command of commandTable.commands) {
    const { name, arity, keys, keyFlags, flags, categories, summary, syntax } = command
    assert.notEqual(arity, 0, name)
    assert.ok(summary.endsWith('.') && !syntax.startsWith(name), name)
    assert.ok(
      categories.every(category => category.startsWith('@')),
      name,
    )
    const [first, last, step] = keys
    if (first === 0) assert.deepEqual(keys, [0, 0, 0], name)
    else {
      assert.ok((first < Math.abs(arity) || name === 'sunsubscribe') && step >= 1 && (last < 0 || last >= first), name)
      // WATCH does neither, and channels are no keys.
      const touches = flags.includes('write') !== flags.includes('readonly')
      assert.equal(touches, keyFlags === undefined, `${name} either reads or writes`)
    }
    assert.equal(categories.includes('@write'), flags.includes('write'), name)
  }
})

test('keys are where the table says', () => {
  const positions = (name: string, argc: number) => keyPositions(commandTable.named(name)!, argc)
  assert.deepEqual(positions('get', 2), [1])
  assert.deepEqual(positions('mget', 4), [1, 2, 3])
  assert.deepEqual(positions('mset', 5), [1, 3])
  assert.deepEqual(positions('ping', 2), [])
  assert.ok(arityHolds(commandTable.named('get')!, 2) && !arityHolds(commandTable.named('get')!, 3))
  assert.ok(arityHolds(commandTable.named('mget')!, 9) && !arityHolds(commandTable.named('mget')!, 1))
})
