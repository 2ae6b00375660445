// What every Source keeps, as tests of node:test: call `sourceContract` in a test file of yours with a way to make your
// source over a fresh, empty table, and run that file with `node --test`.
// Not for: what only one database has (its types, its locks, how it notices writes from elsewhere).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { snapshotSees } from '../coherence/stamp.ts'
import type { FeedHandler, PushedFeed } from '../source/pushed-feed.ts'
import type { RowBytes, RowOperation, RowOutcome, Source, WriteResult } from '../source/source.ts'

/** A source under test. Its keyspace is empty and shows a table of these columns, in this order:
 *
 *   id     64-bit integer, the primary key
 *   name   text, NOT NULL, no default
 *   count  64-bit integer, NOT NULL DEFAULT 7
 *   note   text
 *   ratio  64-bit float
 *   data   bytes
 */
export interface SourceFixture {
  readonly source: Source & PushedFeed
  readonly keyspace: string
  /** Resolves once the feed has told everything that was committed before the call, and a sample taken after it. */
  caughtUp(): Promise<void>
  /** Commits a change of the row's name from outside: not through the source. */
  renameOutside(id: string, name: string): Promise<void>
  /** Closes the source and throws the database away. */
  close(): Promise<void>
}

type Told = ['changes' | 'reset' | 'sample', position: bigint, keys: readonly string[]]

class Witness implements FeedHandler {
  readonly told: Told[] = []

  changes(position: bigint, events: readonly { readonly key: string }[]): void {
    this.told.push(['changes', position, events.map(event => event.key)])
  }

  reset(position: bigint): void {
    this.told.push(['reset', position, []])
  }

  sample(_takenAtMs: number, position: bigint): void {
    this.told.push(['sample', position, []])
  }
}

class Subject {
  readonly fixture: SourceFixture
  readonly feed = new Witness()

  constructor(fixture: SourceFixture) {
    this.fixture = fixture
    fixture.source.subscribe(this.feed)
  }

  async texts(...ids: string[]): Promise<(string | null)[]> {
    return (await this.fixture.source.load(this.fixture.keyspace, ids)).rows.map(textOf)
  }

  write(...writes: [id: string, operation: RowOperation][]): Promise<WriteResult> {
    const { source, keyspace } = this.fixture
    return source.write(writes.map(([id, operation]) => ({ keyspace, id, operation })))
  }

  async one(id: string, operation: RowOperation): Promise<RowOutcome> {
    return (await this.write([id, operation])).outcomes[0]!
  }
}

function textOf(row: RowBytes): string | null {
  return row === null ? null : Buffer.from(row).toString()
}

function replace(row: string, condition?: 'absent' | 'present'): RowOperation {
  return { kind: 'replace', row: Buffer.from(row), ...(condition === undefined ? {} : { condition }) }
}

function update(fields: Readonly<Record<string, string>>): RowOperation {
  return { kind: 'update', fields: Object.entries(fields).map(([name, value]) => [name, Buffer.from(value)]) }
}

function add(field: string, amount: string, as: 'integer' | 'float' = 'integer'): RowOperation {
  return { kind: 'add', field, amount, as }
}

const remove: RowOperation = { kind: 'remove' }

/** Declares the contract's tests, their names led by `name`. `make` is called once for each. */
export function sourceContract(name: string, make: () => Promise<SourceFixture>): void {
  const holds = (what: string, run: (subject: Subject) => Promise<void>): void => {
    void test(`${name}: ${what}`, async t => {
      const fixture = await make()
      t.after(() => fixture.close())
      await run(new Subject(fixture))
    })
  }
  for (const [what, run] of Object.entries({ ...loading, ...writing, ...refusing, ...feeding })) holds(what, run)
}

type Tests = Readonly<Record<string, (subject: Subject) => Promise<void>>>

const loading: Tests = {
  'loads answer in the order asked, with duplicates, and null for rows that are not there': async subject => {
    await subject.write(['1', update({ name: 'A' })], ['2', update({ name: 'B' })])
    const rows = (await subject.texts('2', '9', '1', '2')).map(row => /"name":"(.)"/.exec(row ?? '')?.[1])
    assert.deepEqual(rows, ['B', undefined, 'A', 'B'])
    assert.deepEqual(await subject.texts(), [])
  },

  'a row is all columns in the order of the table, integers with all their digits': async subject => {
    const row =
      '{"id":-9223372036854775808,"name":"\\"é\\n😀","count":9223372036854775807,"note":"","ratio":0.1,"data": "AP8="}'
    await subject.one('-9223372036854775808', replace(row))
    assert.deepEqual(await subject.texts('-9223372036854775808'), [row])
  },

  'an id that is not the one spelling of a row is refused, in loads and writes': async subject => {
    for (const id of ['', '01', '+1', '1.0', ' 1', 'x', '9223372036854775808', '1:1']) {
      await assert.rejects(subject.texts('1', id), { code: 'ROW_KEY_INVALID' }, id)
      await assert.rejects(subject.one(id, remove), { code: 'ROW_KEY_INVALID' }, id)
    }
  },

  'the stamp of a load sees every write before it, and the stamp of a later write is outside it': async subject => {
    const before = (await subject.write(['1', update({ name: 'A' })])).stamp
    const { stamp } = await subject.fixture.source.load(subject.fixture.keyspace, ['1'])
    const after = (await subject.write(['1', update({ name: 'B' })])).stamp
    assert.equal(snapshotSees(stamp.snapshot, before.xid), 'yes')
    assert.notEqual(snapshotSees(stamp.snapshot, after.xid), 'yes')
    assert.ok(stamp.flush < after.upto && stamp.upto >= before.at)
    assert.deepEqual([before.epoch, stamp.epoch, after.epoch], Array(3).fill(subject.fixture.source.epoch))
  },
}

const writing: Tests = {
  'a row is replaced or removed only if it is the expected one': async subject => {
    const first = '{"id":1,"name":"A","count":1,"note":null,"ratio":0.1,"data": "AP8="}'
    const second = '{"id":1,"name":"B","count":1,"note":null,"ratio":0.1,"data": "AP8="}'
    const only = (row: string, expected: string): RowOperation => ({
      kind: 'replace',
      row: Buffer.from(row),
      expected: Buffer.from(expected),
    })
    const missing = await subject.one('1', only(first, first))
    assert.deepEqual([missing.changed, textOf(missing.before)], [false, null])
    await subject.one('1', replace(first))
    const kept = await subject.one('1', only(first, second))
    assert.deepEqual([kept.changed, textOf(kept.before), textOf(kept.after)], [false, first, first])
    const done = await subject.one('1', only(second, first))
    assert.deepEqual([done.changed, textOf(done.before), textOf(done.after)], [true, first, second])
    const unmoved = await subject.one('1', { kind: 'remove', expected: Buffer.from(first) })
    assert.deepEqual([unmoved.changed, textOf(unmoved.before)], [false, second])
    const removed = await subject.one('1', { kind: 'remove', expected: Buffer.from(second) })
    assert.deepEqual([removed.changed, textOf(removed.after)], [true, null])
    assert.deepEqual(await subject.texts('1'), [null])
  },

  'replace sets what is not given to its default, and answers with the row before and after': async subject => {
    await subject.one('1', replace('{"name":"A","count":1,"note":"x"}'))
    const { changed, before, after, exact } = await subject.one('1', replace('{"id":1,"name":"B"}'))
    assert.deepEqual([changed, exact], [true, true])
    assert.equal(textOf(before), '{"id":1,"name":"A","count":1,"note":"x","ratio":null,"data":null}')
    assert.equal(textOf(after), '{"id":1,"name":"B","count":7,"note":null,"ratio":null,"data":null}')
    assert.deepEqual(await subject.texts('1'), [textOf(after)])
  },

  'replace under a condition that does not hold changes nothing': async subject => {
    assert.equal((await subject.one('1', replace('{"name":"A"}', 'present'))).changed, false)
    assert.equal((await subject.one('1', replace('{"name":"A"}', 'absent'))).changed, true)
    const again = await subject.one('1', replace('{"name":"B"}', 'absent'))
    assert.deepEqual([again.changed, textOf(again.after)], [false, textOf(again.before)])
    assert.equal((await subject.one('1', replace('{"name":"C"}', 'present'))).changed, true)
  },

  'update, unset and remove count what they changed': async subject => {
    assert.equal((await subject.one('1', update({ name: 'A', note: 'x' }))).fields, 2)
    assert.equal((await subject.one('1', update({ name: 'B', ratio: '1.5' }))).fields, 1)
    const unset = await subject.one('1', { kind: 'unset', fields: ['note', 'data'] })
    assert.deepEqual([unset.changed, unset.fields], [true, 1])
    assert.equal((await subject.one('1', { kind: 'unset', fields: ['note'] })).changed, false)
    const removed = await subject.one('1', remove)
    assert.deepEqual([removed.changed, removed.after], [true, null])
    assert.equal((await subject.one('1', remove)).changed, false)
  },

  'update under the condition absent sets fields only while none of them has a value': async subject => {
    const absent = (fields: Readonly<Record<string, string>>): RowOperation => ({
      ...(update(fields) as Extract<RowOperation, { kind: 'update' }>),
      condition: 'absent',
    })
    const first = await subject.one('1', absent({ name: 'A' }))
    assert.deepEqual([first.changed, first.fields, first.before], [true, 1, null])
    const again = await subject.one('1', absent({ name: 'B' }))
    assert.deepEqual([again.changed, textOf(again.after)], [false, textOf(again.before)])
    assert.equal((await subject.one('1', absent({ note: 'x', name: 'B' }))).changed, false)
    assert.equal((await subject.one('1', absent({ note: 'x' }))).changed, true)
    assert.match((await subject.texts('1'))[0]!, /"name":"A".*"note":"x"/)
  },

  'add counts up what is there, NULL as 0, and no call is lost when many come at once': async subject => {
    await subject.one('1', update({ name: 'A' }))
    const calls = Array.from({ length: 30 }, (_, i) => subject.one('1', add('count', i % 3 === 0 ? '-1' : '2')))
    await Promise.all(calls)
    assert.match((await subject.texts('1'))[0]!, /"count":37,/)
    assert.equal((await subject.one('1', add('ratio', '0.1', 'float'))).fields, 1)
    assert.equal((await subject.one('1', add('ratio', '0.2', 'float'))).fields, 0)
    assert.match((await subject.texts('1'))[0]!, /"ratio":0\.3,/)
    await subject.one('1', update({ note: '9223372036854775806' }))
    assert.match(textOf((await subject.one('1', add('note', '1'))).after)!, /"note":"9223372036854775807"/)
  },

  'add inserts the row that is not there': async subject => {
    await assert.rejects(subject.one('2', add('count', '1')), { code: 'ROW_INVALID' }, 'name is NOT NULL')
    await subject.write(['2', add('name', '5')])
    assert.match((await subject.texts('2'))[0]!, /"name":"5","count":7,/)
  },

  'replacements that wait for all rows to be absent are done together or not at all': async subject => {
    const together = (...names: string[]): Promise<WriteResult> =>
      subject.write(
        ...names.map((name, i): [string, RowOperation] => [
          name,
          { kind: 'replace', row: Buffer.from('{"name":"A"}'), condition: i === 0 ? 'all-absent' : 'and-absent' },
        ]),
      )
    assert.deepEqual((await together('1', '2')).outcomes.map(outcome => outcome.changed), [true, true]) // prettier-ignore
    assert.deepEqual((await together('3', '2')).outcomes.map(outcome => outcome.changed), [false, false]) // prettier-ignore
    assert.deepEqual((await together('2', '3')).outcomes.map(outcome => outcome.changed), [false, false]) // prettier-ignore
    assert.deepEqual(await subject.texts('3'), [null])
    // What stands behind a group in the same call is none of it.
    const mixed = await subject.write(
      ['7', { kind: 'replace', row: Buffer.from('{"name":"A"}'), condition: 'all-absent' }],
      ['1', update({ name: 'B' })],
    )
    assert.deepEqual(mixed.outcomes.map(outcome => outcome.changed), [true, true]) // prettier-ignore
    // Several groups in one call do not know of each other, but of what was done before them.
    const row = Buffer.from('{"name":"B"}')
    const { outcomes } = await subject.write(
      ['3', { kind: 'replace', row, condition: 'all-absent' }],
      ['4', { kind: 'replace', row, condition: 'and-absent' }],
      ['5', { kind: 'replace', row, condition: 'all-absent' }],
      ['4', { kind: 'replace', row, condition: 'and-absent' }],
      ['6', { kind: 'replace', row }],
    )
    assert.deepEqual(outcomes.map(outcome => outcome.changed), [true, true, false, false, true]) // prettier-ignore
    assert.deepEqual((await subject.texts('3', '4', '5', '6')).map(text => text !== null), [true, true, false, true]) // prettier-ignore
  },

  'writes of one call happen in order, and stamps of calls in the order of their commits': async subject => {
    const first = await subject.write(['1', update({ name: 'A' })], ['1', remove], ['1', update({ name: 'B' })])
    assert.deepEqual(
      first.outcomes.map(({ before, after }) => [before === null, after === null]),
      [
        [true, false],
        [false, true],
        [true, false],
      ],
    )
    const second = await subject.write(['2', remove])
    assert.ok(first.stamp.xid < second.stamp.xid && first.stamp.at < second.stamp.at)
  },
}

const refusing: Tests = {
  'a call that is refused has changed nothing at all': async subject => {
    await subject.one('1', update({ name: 'A' }))
    const before = await subject.texts('1', '2')
    const bad: [RowOperation, string][] = [
      [replace('{"name":"B"'), 'ROW_INVALID'],
      [replace('{"name":"B","name":"C"}'), 'ROW_INVALID'],
      [replace('{"name":"B","mayor":"C"}'), 'ROW_INVALID'],
      [replace('{"name":5}'), 'ROW_INVALID'],
      [replace('{"name":"B","count":1.5}'), 'ROW_INVALID'],
      [replace('{"name":"B","count":9223372036854775808}'), 'ROW_INVALID'],
      [replace('{"count":1}'), 'ROW_INVALID'],
      [replace('{"id":3,"name":"B"}'), 'ROW_KEY_COLUMN'],
      [update({ count: 'abc' }), 'ROW_INVALID'],
      [update({ mayor: 'x' }), 'ROW_INVALID'],
      [update({ id: '1' }), 'ROW_KEY_COLUMN'],
      [add('name', '1'), 'ROW_INVALID'],
      [add('count', '9223372036854775807'), 'ROW_INVALID'],
      [add('count', '0.5', 'float'), 'ROW_INVALID'],
      [add('ratio', '1e400', 'float'), 'ROW_INVALID'],
      [add('mayor', '1'), 'ROW_INVALID'],
      [add('id', '1'), 'ROW_KEY_COLUMN'],
      [{ kind: 'unset', fields: ['name'] }, 'ROW_INVALID'],
      [{ kind: 'unset', fields: ['id'] }, 'ROW_KEY_COLUMN'],
    ]
    for (const [operation, code] of bad) {
      await assert.rejects(
        subject.write(['2', update({ name: 'B' })], ['1', operation]),
        { code },
        JSON.stringify(operation),
      )
      assert.deepEqual(await subject.texts('1', '2'), before)
    }
  },

  'of concurrent calls, one that is refused takes no other with it': async subject => {
    const calls = Array.from({ length: 20 }, (_, i) =>
      subject.one(String(i), update(i % 5 === 3 ? { note: 'x' } : { name: 'A' })),
    )
    const settled = await Promise.allSettled(calls)
    assert.deepEqual(settled.map(({ status }) => status), Array.from(settled, (_, i) => (i % 5 === 3 ? 'rejected' : 'fulfilled'))) // prettier-ignore
    const rows = await subject.texts(...settled.map((_, i) => String(i)))
    assert.deepEqual(rows.map(row => row === null), Array.from(settled, (_, i) => i % 5 === 3)) // prettier-ignore
  },

  'a closed source refuses loads and writes': async subject => {
    await subject.fixture.source.close()
    await assert.rejects(subject.texts('1'), { code: 'SHUTTING_DOWN' })
    await assert.rejects(subject.one('1', remove), { code: 'SHUTTING_DOWN' })
  },
}

const feeding: Tests = {
  'the feed tells every change of ours, in order, under its whole key': async subject => {
    const { keyspace } = subject.fixture
    await subject.write(['1', update({ name: 'A' })], ['2', update({ name: 'A' })])
    await subject.write(['2', remove], ['3', remove])
    await subject.fixture.caughtUp()
    const keys = subject.feed.told
      .filter(([what, , keys]) => what === 'changes' && keys.length > 0)
      .map(([, , keys]) => [...keys].sort())
    assert.deepEqual(keys, [[`${keyspace}:1`, `${keyspace}:2`], [`${keyspace}:2`]])
  },

  'positions of the feed never go back, and a caught-up feed is past its last sample': async subject => {
    await subject.write(['1', update({ name: 'A' })])
    await subject.fixture.caughtUp()
    await subject.write(['1', update({ name: 'B' })])
    await subject.fixture.caughtUp()
    let mark = -1n
    for (const [what, position] of subject.feed.told) {
      if (what === 'sample') continue
      assert.ok(position >= mark, `${what} at ${position} after ${mark}`)
      mark = position
    }
    const samples = subject.feed.told.filter(([what]) => what === 'sample')
    assert.ok(samples.length > 0 && samples.at(-1)![1] < mark)
  },

  'a change from outside is told before the next sample: as a change of its key, or as a reset': async subject => {
    const key = `${subject.fixture.keyspace}:1`
    await subject.write(['1', update({ name: 'A' })])
    await subject.fixture.caughtUp()
    for (const own of [false, true]) {
      subject.feed.told.length = 0
      await subject.fixture.renameOutside('1', own ? 'C' : 'B')
      // A write of ours in between must not hide it.
      if (own) await subject.write(['2', update({ name: 'A' })])
      await subject.fixture.caughtUp()
      const at = subject.feed.told.findIndex(([what, , keys]) => what === 'reset' || keys.includes(key))
      const sample = subject.feed.told.findLastIndex(([what]) => what === 'sample')
      assert.ok(at >= 0 && at < sample, JSON.stringify(subject.feed.told.map(([what]) => what)))
      assert.match((await subject.texts('1'))[0]!, own ? /"name":"C"/ : /"name":"B"/)
    }
  },
}
