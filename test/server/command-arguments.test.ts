// The arguments that COMMAND DOCS tells, read from the line of the reference page.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Argument, argumentsOf } from '../../src/server/commands/command-arguments.ts'
import { commandTable } from '../../src/server/commands/table.ts'

/** `?` optional, TOKEN=, `*` repeated. */
function short({ name, type, token, flags, arguments: inner }: Argument): string {
  const before = `${flags.includes('optional') ? '?' : ''}${token === undefined ? '' : `${token}=`}`
  const parts = inner.length === 0 ? '' : `(${inner.map(short).join(' ')})`
  return `${before}${name}:${type}${parts}${flags.includes('multiple') ? '*' : ''}`
}

test('the line of a command is read as its arguments', () => {
  for (const [syntax, expected] of [
    ['', ''],
    ['key', 'key:key'],
    ['key [key ...]', 'key:key*'],
    ['[channel [channel ...]]', '?channel:string*'],
    ['key value [key value ...]', 'key_value:block(key:key value:string)*'],
    ['key field value [field value ...]', 'key:key field_value:block(field:string value:string)*'],
    ['key [GET] [NX | XX]', 'key:key ?GET=get:pure-token ?choice:oneof(NX=nx:pure-token XX=xx:pure-token)'],
    ['[EX seconds | KEEPTTL]', '?choice:oneof(EX=seconds:integer KEEPTTL=keepttl:pure-token)'],
    ['<AND | NOT> destkey', 'choice:oneof(AND=and:pure-token NOT=not:pure-token) destkey:key'],
    ['[AUTH username password]', '?AUTH=username_password:block(username:string password:string)'],
    ['LEN | GET [count]', 'choice:oneof(LEN=len:pure-token get_count:block(GET=get:pure-token ?count:integer))'],
    ['key [count [WITHVALUES]]', 'key:key ?count_withvalues:block(count:integer ?WITHVALUES=withvalues:pure-token)'],
  ] as const) {
    assert.equal(argumentsOf(syntax).map(short).join(' '), expected, syntax)
  }
})

test('the line of every command is read to its end, and every key of the table is a key there', () => {
  const keysOf = (all: readonly Argument[]): number =>
    all.reduce((sum, each) => sum + (each.type === 'key' ? 1 : 0) + keysOf(each.arguments), 0)
  const wordsOf = (all: readonly Argument[]): number =>
    all.reduce((sum, { token, arguments: inner, type }) => {
      const own = (token === undefined ? 0 : 1) + (inner.length === 0 && type !== 'pure-token' ? 1 : 0)
      return sum + own + wordsOf(inner)
    }, 0)
  for (const { name, syntax, keys, group } of commandTable.commands) {
    const read = argumentsOf(syntax)
    // `a [a ...]` says a word twice.
    const written = new Set(syntax.match(/[A-Za-z][\w-]*/g)).size
    assert.ok(wordsOf(read) >= written, `${name} ${syntax}: ${read.map(short).join(' ')}`)
    if (keys[0] > 0 && group !== 'pubsub') assert.ok(keysOf(read) > 0, `${name} ${syntax}`)
  }
})
