// `npm run bench -- server [options]`: Tidemark beside its peers, measured in the same run on this machine.
// Every benchmark prints machine, versions and commit, writes its raw samples with --json, and has a size (--smoke) that a
// test runs, so that it cannot rot.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.ts'
import { benchServer } from './server.ts'

const usage = `npm run bench -- server [options]

  --rounds N       measurements of each kind, taken in turns (7)
  --requests N     requests in one measurement (1000000)
  --pipeline LIST  requests sent at once (16)
  --clients LIST   connections (50)
  --bytes LIST     bytes of a value (64)
  --keys LIST      different keys (100000)
  --peers LIST     what to measure against: redis (redis)
  --pin            server on the first core alone, load on the others
  --json FILE      write all samples
  --smoke          a small size, to see that it works: its figures say nothing
`

const options = {
  rounds: { type: 'string' },
  requests: { type: 'string' },
  pipeline: { type: 'string', default: '16' },
  clients: { type: 'string', default: '50' },
  bytes: { type: 'string', default: '64' },
  keys: { type: 'string' },
  peers: { type: 'string', default: 'redis' },
  pin: { type: 'boolean', default: false },
  json: { type: 'string' },
  smoke: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

function numbers(name: string, text: string): number[] {
  const values = text.split(',').map(Number)
  if (values.some(value => !Number.isInteger(value) || value < 1)) {
    throw new Error(`--${name} ${text}: expected whole numbers above 0, separated by commas`)
  }
  return values
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [benchmark] = positionals
  if (values.help || benchmark !== 'server' || positionals.length > 1) {
    process.stderr.write(usage)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const machine = await describeMachine()
  const report = await benchServer(
    {
      rounds: numbers('rounds', values.rounds ?? (values.smoke ? '2' : '7'))[0]!,
      requests: numbers('requests', values.requests ?? (values.smoke ? '2000' : '1000000'))[0]!,
      pipelines: numbers('pipeline', values.pipeline),
      clients: numbers('clients', values.clients),
      valueBytes: numbers('bytes', values.bytes),
      keys: numbers('keys', values.keys ?? (values.smoke ? '100' : '100000')),
      peers: values.peers.split(','),
      pin: values.pin,
    },
    machine,
    line => console.log(line),
  )
  if (values.smoke) console.log('Smoke size: the figures above say nothing about speed.')
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
}

try {
  await main()
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
