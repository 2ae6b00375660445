// `tidemark cli` against the real Redis, and its output against the real redis-cli's.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { PassThrough } from 'node:stream'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { completions } from '../../src/cli/command-names.ts'
import { formatReply } from '../../src/cli/format-reply.ts'
import { cliHelp, runCli } from '../../src/cli/redis-cli.ts'
import { splitLine } from '../../src/cli/split-line.ts'
import { ReplyError } from '../../src/wire/reply.ts'
import { freePort, startRedis } from '../support/redis-server.ts'

const redis = await startRedis(['--enable-debug-command', 'yes'])
const locked = await startRedis(['--requirepass', 'secret'])
const skip = redis === undefined ? 'redis-server is not installed' : false
const port = String(redis?.port)
after(async () => {
  await redis?.stop()
  await locked?.stop()
})

interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function all(stream: PassThrough): Promise<Buffer> {
  return Buffer.concat((await stream.end().toArray()) as Buffer[])
}

async function cli(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Result> {
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  stdin.end(input)
  const code = await runCli(args, { stdin, stdout, stderr, env })
  return { code, out: (await all(stdout)).toString(), err: (await all(stderr)).toString() }
}

/** What the real redis-cli prints; undefined, after saying so, when there is none. */
async function realCli(t: TestContext, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('redis-cli', ['-p', port, ...args])).stdout
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    assert.notEqual(process.env['TIDEMARK_NO_SKIP'], '1', 'redis-cli is not installed')
    t.skip('redis-cli is not installed')
    return undefined
  }
}

test('replies are printed as redis-cli prints them, on a terminal and into a pipe', { skip }, async t => {
  const nested =
    "return {1, 'two', {'three', {}, {4, false}}, redis.status_reply('FINE'), 10, 11, 12, 13, 14, {15, {16}}}"
  const commands = [
    ['SET', 'key', 'a "quoted"\n\tvalue \\ \x01\x7fé'],
    ['GET', 'key'],
    ['GET', 'none'],
    ['STRLEN', 'key'],
    ['HSET', 'hash', 'one', '1', 'two', '2'],
    ['HGETALL', 'hash'],
    ['HGETALL', 'none'],
    ['MGET', 'key', 'none', 'none'],
    ['NOSUCH', 'command'],
    ['SET', 'key'],
    ['SADD', 'set', 'member'],
    ['SMEMBERS', 'set'],
    ['EVAL', nested, '0'],
    ['EVAL', 'redis.setresp(3); return {map={a={}, b={1,{2}}, c={map={}}, d={map={x={set={y=true}}}}}}', '0'],
    ['MEMORY', 'DOCTOR'],
    ['CLIENT', 'GETNAME'],
    ['ECHO', ''],
    ['CONFIG', 'GET', 'max*'],
    ['COMMAND', 'INFO', 'get', 'config'],
    ...['string', 'integer', 'double', 'null', 'array', 'set', 'map', 'verbatim', 'true', 'false'].map(kind => [
      'DEBUG',
      'PROTOCOL',
      kind,
    ]),
  ]
  for (const command of commands) {
    for (const flags of [['--no-raw'], ['--raw'], ['-3', '--no-raw'], ['-3', '--raw']]) {
      const real = await realCli(t, [...flags, ...command])
      if (real === undefined) return
      const ours = await cli(['-p', port, ...flags, ...command])
      const shown = [...flags, ...command].join(' ')
      if (/^SADD|^HSET|^SET key a/.test(command.join(' '))) assert.equal(ours.err, '', shown)
      else assert.equal(ours.out, real, shown)
      assert.equal(ours.code, /^\(?(error|ERR)/.test(real) ? 1 : 0, shown)
    }
  }
})

test('without a terminal values are raw, with --json they are JSON', { skip }, async () => {
  await cli(['-p', port, 'HSET', 'json', 'name', 'Zürich', 'n', '1'])
  assert.deepEqual(await cli(['-p', port, 'HGET', 'json', 'name']), { code: 0, out: 'Zürich\n', err: '' })
  const { out } = await cli(['-p', port, '--json', 'HGETALL', 'json'])
  assert.deepEqual(JSON.parse(out), { name: 'Zürich', n: '1' })
  const failed = await cli(['-p', port, '--json', 'NOSUCH'])
  assert.equal(failed.code, 1)
  assert.match((JSON.parse(failed.out) as { error: string }).error, /^ERR unknown command/)
})

test('JSON keeps every digit, and every byte', () => {
  const reply = new Map<string | bigint, bigint | number | Buffer | null | ReplyError>([
    ['big', 9007199254740993n],
    ['infinite', Infinity],
    ['bytes', Buffer.from([0xff, 0x22, 0x0a])],
    [5n, null],
    ['failed', new ReplyError('ERR "no"')],
  ])
  const text = formatReply(reply, 'json').toString()
  const expected = String.raw`{"big":9007199254740993,"infinite":"inf","bytes":"ÿ\"\n","5":null,"failed":{"error":"ERR \"no\""}}`
  assert.equal(text, `${expected}\n`)
})

test('a raw value reaches the pipe byte for byte', { skip }, async () => {
  const stdout = new PassThrough()
  await cli(['-p', port], String.raw`SET bytes "\xff\x00\xfe"` + '\n')
  await runCli(['-p', port, 'GET', 'bytes'], { stdin: new PassThrough(), stdout, stderr: new PassThrough() })
  assert.deepEqual(await all(stdout), Buffer.from([0xff, 0x00, 0xfe, 0x0a]))
})

test(
  'lines from a pipe are commands; one that fails does not stop the rest, and makes the exit code 1',
  { skip },
  async () => {
    const good = await cli(['-p', port], 'SET piped "a b"\n\n  GET piped  \nquit\nSET piped c\n')
    assert.deepEqual(good, { code: 0, out: 'OK\na b\n', err: '' })
    const bad = await cli(['-p', port], 'NOSUCH\nGET "unbalanced\nGET piped')
    assert.equal(bad.code, 1)
    assert.match(bad.out, /^ERR unknown command[^]*\nInvalid argument\(s\): [^\n]*\na b\n$/)
  },
)

/** A person at a terminal: types, and waits for what should appear after it. */
class Person {
  readonly stdin: PassThrough & { isTTY?: boolean } = Object.assign(new PassThrough(), { isTTY: true })
  readonly stdout: PassThrough & { isTTY?: boolean } = Object.assign(new PassThrough(), { isTTY: true })
  readonly stderr = new PassThrough()
  #seen = ''
  #wake = (): void => {}

  constructor() {
    this.stdout.on('data', (chunk: Buffer) => {
      this.#seen += chunk.toString()
      this.#wake()
    })
  }

  type(keys: string): void {
    this.stdin.write(keys)
  }

  /** Resolves with all that appeared up to and with `text`. */
  async sees(text: string): Promise<string> {
    while (!this.#seen.includes(text)) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    const end = this.#seen.indexOf(text) + text.length
    const before = this.#seen.slice(0, end)
    this.#seen = this.#seen.slice(end)
    return before
  }
}

test(
  'at the prompt: replies with their types, completion, help, the database, leaving',
  { skip, timeout: 20_000 },
  async () => {
    const person = new Person()
    const code = runCli(['-p', port], person)
    const prompt = `127.0.0.1:${port}> `
    await person.sees(prompt)
    person.type('SET typed "a b"\r')
    await person.sees('OK\n')
    person.type('GET typed\r')
    await person.sees('"a b"\n')
    person.type('getra\t')
    await person.sees('nge')
    person.type(' typed 0 0\r')
    await person.sees('"a"\n')
    person.type('help config get\r')
    assert.match(await person.sees('group: server'), /CONFIG GET\s+summary: /)
    person.type('help\r')
    await person.sees('quit, Ctrl-D')
    person.type('SELECT 2\r')
    await person.sees(`127.0.0.1:${port}[2]> `)
    person.type('NOSUCH\r')
    await person.sees('(error) ERR unknown command')
    person.type('quit\r')
    assert.equal(await code, 0)
  },
)

test('at the prompt a lost connection is made again', { skip, timeout: 20_000 }, async () => {
  const person = new Person()
  const code = runCli(['-p', port, '-n', '3'], person)
  await person.sees('[3]> ')
  person.type('CLIENT KILL TYPE normal SKIPME no\r')
  await person.sees('(integer)')
  // Until the end of the connection has arrived, too.
  for (let shown = ''; !shown.includes('not connected'); shown = await person.sees('> ')) {
    await setImmediate()
    person.type('\r')
  }
  person.type('SET again 1\r')
  await person.sees('OK\n')
  person.type('EXISTS again\r')
  await person.sees('(integer) 1\n')
  person.type('\u0004')
  assert.equal(await code, 0)
  const { out } = await cli(['-p', port, '-n', '3', 'EXISTS', 'again'])
  assert.equal(out, '1\n')
})

test('no connection is one clear line and exit code 1', async () => {
  const free = await freePort()
  const { code, out, err } = await cli(['-p', String(free), 'PING'])
  assert.equal(code, 1)
  assert.equal(out, '')
  const start = `start a server with \`tidemark serve --port ${free}\``
  assert.equal(
    err,
    `tidemark: cannot connect to 127.0.0.1:${free}: nothing listens there; ${start}, or name another with -h and -p\n`,
  )
})

test('the password comes from -a or the environment', { skip }, async () => {
  const lockedPort = String(locked?.port)
  assert.equal((await cli(['-p', lockedPort, '-a', 'secret', 'PING'])).out, 'PONG\n')
  assert.equal((await cli(['-p', lockedPort, '-3', 'PING'], '', { REDISCLI_AUTH: 'secret' })).out, 'PONG\n')
  const wrong = await cli(['-p', lockedPort, '-a', 'wrong', 'PING'])
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /answers AUTH with: WRONGPASS/)
  const none = await cli(['-p', lockedPort, 'PING'])
  assert.deepEqual([none.code, none.out.slice(0, 6)], [1, 'NOAUTH'])
  assert.match((await cli(['-p', lockedPort, '--json', 'PING'])).err, /HELLO with: NOAUTH .*-a or in REDISCLI_AUTH/)
})

test('a wrong flag is named, with exit code 2; --help prints the help', async () => {
  assert.deepEqual(await cli(['--help']), { code: 0, out: cliHelp, err: '' })
  const cases: [args: string[], message: RegExp][] = [
    [['--jsno', 'GET', 'a'], /no flag --jsno/],
    [['-p'], /-p needs a value/],
    [['-p', '65536'], /-p got "65536"; it takes a whole number of at most 65535/],
    [['-n', '-1'], /-n got "-1"/],
  ]
  for (const [args, message] of cases) {
    const { code, out, err } = await cli(args)
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, message)
  }
})

test('lines are split by the quoting rules of redis-cli', () => {
  assert.deepEqual(splitLine(String.raw`  set "a\x41\n" 'b c' é "" `)?.map(String), ['set', 'aA\n', 'b c', 'é', ''])
  assert.deepEqual(splitLine('   '), [])
  assert.equal(splitLine('get "a'), undefined)
  assert.equal(splitLine('get "a"b'), undefined)
})

test('completion goes on in the case that was typed', () => {
  const names = ['CONFIG', 'CONFIG GET', 'CONFIG SET', 'GET']
  assert.deepEqual(completions(names, 'config g'), ['config get'])
  assert.deepEqual(completions(names, 'CONFIG'), ['CONFIG', 'CONFIG GET', 'CONFIG SET'])
  assert.deepEqual(completions(names, 'x'), [])
})
