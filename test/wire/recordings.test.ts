// The scripts of recordings/, command by command: Tidemark with one and with two threads replies with the bytes that
// redis-server replied with when it was recorded, in RESP2 and RESP3, or differs as the script and the documentation say.
// Redis itself is needed only to see that the recordings are still what it replies.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { commandTable } from '../../src/server/commands/table.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { type Heard, Player, sorted } from './player.ts'
import {
  type Recording,
  type Resp,
  type Step,
  escape,
  fileOf,
  parseRecording,
  parseWords,
  printRecording,
  printWords,
  readRecordings,
  unescape,
} from './recording.ts'
import { Servers, installedRedisVersion } from './servers.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const recordings = readRecordings()
/** Commands that Redis has too; those of Tidemark alone have tests of their own. */
const commands = commandTable.commands.filter(({ group }) => group !== 'tidemark')
const steps = recordings.flatMap(({ sections }) => sections.flatMap(section => section.steps))
const servers = new Servers()
after(() => servers.stop())

async function replay(
  recording: Recording,
  resp: Resp,
  ours: boolean,
  port: (kind: string) => Promise<number>,
): Promise<void> {
  const wrong: string[] = []
  for (const section of recording.sections) {
    const target = { port: await port(section.servers), resp, ours }
    const heard = ({ step, came, expected, holds }: Heard): void => {
      if (holds) return
      const wanted = expected === undefined ? 'nothing' : expected.isPattern ? expected.text : escape(expected.text)
      wrong.push(
        `${recording.name}.txt:${step.line} ${printWords(step.request)}\n  came   ${escape(came)}\n  wanted ${wanted}`,
      )
    }
    await Player.play(section, target, heard).catch((error: Error) => {
      wrong.push(`${recording.name}.txt, ${section.title}: ${error.message}`)
    })
  }
  assert.equal(wrong.length, 0, `\n${wrong.join('\n')}`)
}

for (const threads of [1, 2]) {
  for (const resp of [2, 3] as const) {
    describe(`${threads} thread${threads > 1 ? 's' : ''}, RESP${resp}: replies are those that were recorded`, () => {
      for (const recording of recordings) {
        test(recording.name, () => replay(recording, resp, true, kind => servers.tidemark(kind, threads)))
      }
    })
  }
}

describe('redis-server still replies what was recorded', () => {
  for (const recording of recordings) {
    test(recording.name, async t => {
      if (!redisInstalled()) return t.skip('redis-server is not installed')
      const installed = installedRedisVersion()
      if (installed !== recording.redisVersion) {
        return t.skip(`recorded from redis-server ${recording.redisVersion}, installed is ${installed}`)
      }
      for (const resp of [2, 3] as const) await replay(recording, resp, false, kind => servers.redis(kind))
    })
  }
})

test('a reply that is not the recorded one is told with its place, and so is a message that nobody asked for', async () => {
  for (const [steps, message] of [
    ['> SET a 1\n= +KO\\r\\n', /x\.txt:3 SET a 1\n {2}came {3}\+OK\\r\\n\n {2}wanted \+KO/],
    ['> SET a 1\n~ ^\\+KO', /x\.txt:3 SET a 1/],
    ['> SET a 1\n2 +OK\\r\\n', /x\.txt:3 SET a 1\n.*\n {2}wanted nothing/],
    ['>> SUBSCRIBE a b\n<\n~ .', /unasked for, at connection ''/],
    ['> GET a\n= _\\r\\n\n! a row\n!= +x', /wanted \+x/],
  ] as const) {
    const recording = parseRecording('x', `# Redis 7.0.15\n== a\n${steps}`)
    await assert.rejects(
      replay(recording, 3, true, kind => servers.tidemark(kind, 1)),
      message,
    )
  }
})

describe('the recordings', () => {
  const requested = (name: string): Step[] => steps.filter(({ request }) => request[0]?.toLowerCase() === name)

  test('every command has a file that is its script, and is really sent there', () => {
    for (const { name } of commands) {
      const its = recordings.filter(({ commands }) => commands.includes(name))
      assert.equal(its.length, 1, `${name} is the command of ${its.length} files of test/wire/recordings/`)
      const sent = its[0]!.sections.some(section => section.steps.some(step => requested(name).includes(step)))
      assert.ok(sent, `${its[0]!.name}.txt says that it is the script of ${name}, and never sends it`)
    }
    for (const { name, commands } of recordings) {
      for (const command of commands) assert.ok(commandTable.named(command) !== undefined, `${name}.txt: ${command}`)
    }
  })

  test('every command is sent so that it succeeds, and every sub-command is sent', () => {
    const succeeds = (step: Step): boolean => step.redis[2]?.text.startsWith('-') === false
    for (const { name, subcommands = [] } of commands) {
      assert.ok(
        requested(name).some(step => step.kind === 'send' || succeeds(step)),
        `${name} never succeeds`,
      )
      for (const subcommand of subcommands) {
        const sent = requested(name).some(({ request }) => request[1]?.toLowerCase() === subcommand)
        assert.ok(sent, `${name} ${subcommand} is never sent`)
      }
    }
  })

  test('every request has what is expected of Redis, in both protocols', () => {
    for (const step of steps) {
      if (step.kind === 'send' || step.kind === 'close') continue
      assert.ok(
        step.redis[2] !== undefined && step.redis[3] !== undefined,
        `line ${step.line}: ${printWords(step.request)}`,
      )
    }
  })

  test('every file is as the recorder would write it', () => {
    for (const recording of recordings) {
      const text = readFileSync(fileOf(recording.name), 'utf8')
      assert.equal(printRecording(recording, recording.redisVersion), text, `${recording.name}.txt`)
    }
  })
})

describe('differences', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/guides/differences-from-redis.md'), 'utf8')
  const rows = page
    .split('\n')
    .filter(line => line.startsWith('|') && !/^\| (?:command +\||-)/.test(line))
    .map(line => line.split(/(?<!\\)\|/)[1]!.trim())
  const differing = steps.filter(step => step.difference !== undefined)

  test('every difference in a script is a row of the table in docs/guides/differences-from-redis.md', () => {
    assert.ok(rows.length > 10 && differing.length > 10)
    for (const { line, difference } of differing)
      assert.ok(rows.includes(difference!.row), `line ${line}: ${difference!.row}`)
  })

  test('every row is shown by a script, or is of what no script can say', () => {
    const shown = new Set(differing.map(step => step.difference!.row))
    for (const row of rows) assert.equal(shown.has(row), !notShown.has(row), row)
    for (const row of notShown) assert.ok(rows.includes(row), row)
  })

  test('what is said to differ does', () => {
    for (const { line, redis, difference, request } of differing) {
      for (const resp of [2, 3] as const) {
        const [theirs, ours] = [redis[resp]!, difference!.ours[resp]]
        if (ours === undefined || theirs.isPattern) continue
        const same = ours.isPattern ? new RegExp(ours.text, 's').test(theirs.text) : ours.text === theirs.text
        assert.ok(!same, `line ${line}, RESP${resp}: ${printWords(request)}`)
      }
    }
  })
})

/** Rows about rows, time, memory and machines, which tests of their own hold. */
const notShown: ReadonlySet<string> = new Set([
  'SCAN, KEYS, DBSIZE, RANDOMKEY',
  'HRANDFIELD with a negative count',
  'INCRBYFLOAT, HINCRBYFLOAT',
  'WAIT',
  'LASTSAVE',
])

describe('the text of recordings', () => {
  const bytes = fc
    .array(fc.constantFrom(...Array.from('a"\\ \r\n\0\xff*{}$x'), 'x'.repeat(50)))
    .map(parts => parts.join(''))

  test('any bytes come back from their escapes, and any arguments from their line', () => {
    fc.assert(fc.property(bytes, text => unescape(escape(text)) === text))
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1 }), words => {
        assert.deepEqual(parseWords(printWords(words)), words)
      }),
    )
  })

  test('a long run is short', () =>
    assert.equal(escape(`$100000\r\n${'x'.repeat(100_000)}\r\n`), '$100000\\r\\n\\{x*100000}\\r\\n'))

  test('what cannot be read is refused with its place', () => {
    for (const [text, message] of [
      ['= +OK', /x\.txt:2 a line before the first section/],
      ['== a\n= +OK', /x\.txt:3 a reply without a request/],
      ['== a\n> "b', /x\.txt:3 cannot be read as arguments: "b/],
      ['== a\n> b\n!= +OK', /x\.txt:4 what Tidemark replies comes after/],
      ['== a\nB> b', /x\.txt:3 cannot be read: B> b/],
    ] as const) {
      assert.throws(() => parseRecording('x', `# Redis 7.0.15\n${text}\n`), message)
    }
    assert.throws(() => parseRecording('x', '== a\n> b\n'), /x\.txt does not say the version/)
  })

  test('replies in any order are sorted at every depth, whatever bytes they hold', () => {
    assert.equal(sorted('*2\r\n$4\r\nb\r\n\0\r\n$1\r\na\r\n'), '*2\r\n$1\r\na\r\n$4\r\nb\r\n\0\r\n')
    assert.equal(sorted('*2\r\n:0\r\n~2\r\n+b\r\n+a\r\n'), '*2\r\n:0\r\n~2\r\n+a\r\n+b\r\n')
    assert.equal(sorted('$-1\r\n'), '$-1\r\n')
  })
})
