// The command line of `serve`, as far as it is one: values are checked with the other settings.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseServeFlags } from '../../src/cli/flags.ts'
import { serveHelp } from '../../src/cli/help.ts'
import { schema } from '../../src/config/schema.ts'

describe('the flags of serve', () => {
  test('have their value behind them or after an equals sign, and the last one counts', () => {
    const { flags, mistakes } = parseServeFlags(['--port', '1', '--memory=1gb', '--port=2', '--requirepass=-x'])
    assert.deepEqual(Object.fromEntries(flags), { port: '2', memory: '1gb', requirepass: '-x' })
    assert.deepEqual(mistakes, [])
  })
  test('that name several things may be given several times', () => {
    const { flags } = parseServeFlags(['--tier', 'valkey://a', '--tier=valkey://b', '--keyspace=a', '--keyspace=b=c'])
    assert.deepEqual(Object.fromEntries(flags), { tier: 'valkey://a,valkey://b', keyspace: 'a,b=c' })
  })
  test('are all those of the table, and all in the help', () => {
    for (const { flag, environment } of schema) {
      if (flag === undefined) continue
      assert.deepEqual([...parseServeFlags([`--${flag}`, 'x']).flags], [[flag, 'x']])
      assert.match(serveHelp(), new RegExp(`^  --${flag} <\\w+>   ${environment}$`, 'm'))
    }
  })
  test('that are not there are refused with the one that was meant, all of them at once', () => {
    const { mistakes } = parseServeFlags(['--prot', '1', '--adminport=2', '--colour', 'red'])
    assert.deepEqual(mistakes, [
      'there is no flag --prot (did you mean --port?)',
      '"1" is no flag: `serve` takes flags only, such as --port 6379',
      'there is no flag --adminport (did you mean --admin-port?)',
      'there is no flag --colour',
      '"red" is no flag: `serve` takes flags only, such as --port 6379',
    ])
  })
  test('that lack their value are refused, rather than taking the next flag for it', () => {
    assert.deepEqual(parseServeFlags(['--port', '--threads', '2']).mistakes[0], '--port needs a value: --port=...')
    assert.deepEqual(parseServeFlags(['--port']).mistakes, ['--port needs a value: --port=...'])
  })
  test('ask for help with --help and -h, wherever it stands', () => {
    for (const args of [['--help'], ['-h'], ['--port', '1', '-h']]) assert.equal(parseServeFlags(args).help, true)
    assert.equal(parseServeFlags(['--port', '1']).help, false)
  })
})
