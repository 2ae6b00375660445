// `npm run bench -- server [options]`: Tidemark beside its peers, measured in the same run on this machine.
// Every benchmark prints machine, versions, commit and seed, writes its raw samples with --json or --save, and has a size
// (--smoke) that a test runs, so that it cannot rot.
import { parseArgs } from 'node:util'
import { commonOptions, roundsAndSeed } from './arguments.ts'
import { benchChurn } from './churn.ts'
import { benchLibrary } from './library.ts'
import { describeMachine } from './machine.ts'
import { smokeLine, writeReport } from './report.ts'
import { stages } from './scenarios.ts'
import { benchServer } from './server.ts'
import { benchTide } from './tide.ts'

const usage = `npm run bench -- server [options]
npm run bench -- churn [options], which --help tells
npm run bench -- tide [options], which --help tells
npm run bench -- library [options], which --help tells

  --only LIST      these scenarios or stages alone
  --list           say which there are
  --rounds N       measurements of each kind, taken in turns (7)
  --seed N         chooses the keys of our own load generator (random, and printed)
  --pin            server on the first core alone, load on the others
  --json FILE      write all samples
  --save           write them to bench/results/server-DATE-COMMIT.json
  --smoke          a small size, to see that it works: its figures say nothing
`

const options = {
  ...commonOptions,
  list: { type: 'boolean', default: false },
  pin: { type: 'boolean', default: false },
} as const

async function main(): Promise<void> {
  if (process.argv[2] === 'churn') {
    process.exitCode = await benchChurn(process.argv.slice(3))
    return
  }
  if (process.argv[2] === 'tide') return benchTide(process.argv.slice(3))
  if (process.argv[2] === 'library') return benchLibrary(process.argv.slice(3))
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [benchmark] = positionals
  if (values.help || benchmark !== 'server' || positionals.length > 1) {
    process.stderr.write(usage)
    process.exitCode = values.help ? 0 : 2
    return
  }
  if (values.list) {
    for (const { name, scenarios } of stages) console.log(`${name}: ${scenarios.map(each => each.name).join(', ')}`)
    return
  }
  const machine = await describeMachine()
  const report = await benchServer(
    {
      ...roundsAndSeed(values, values.smoke ? 2 : 7),
      only: values.only.split(',').filter(name => name !== ''),
      pin: values.pin,
      smoke: values.smoke,
    },
    machine,
    line => console.log(line),
  )
  if (values.smoke) console.log(smokeLine)
  writeReport(report, values)
}

try {
  await main()
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
