// The process that kill-rounds.ts kills: two keyspaces that write behind, one over a table of SQLite, one over functions that are
// slow and fail now and then. Several callers write values that grow, by key; what is begun, acknowledged and read is said before
// anything else is done.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sleep, systemClock } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { createTidemark } from '../../../src/index.ts'
import { keysOf, openKilled, removes, type KilledKeyspace } from './kill-keyspaces.ts'

const [directory, label, first] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4])]
const random = seededRandom(label)
const clock = systemClock()
const database = new DatabaseSync(join(directory, 'functions.db'))
const tide = await createTidemark({ journal: { directory: join(directory, 'journals') } })
const { rows, values } = openKilled(tide, directory, database, async () => {
  await sleep(clock, random.below(8))
  if (random.below(5) === 0) throw new Error('not now')
})
const say = (line: string): void => void writeSync(1, `${line}\n`)
let next = first

async function caller(keyspace: KilledKeyspace, key: string): Promise<never> {
  say(`read ${keyspace.name} ${key} ${(await keyspace.read(key)) ?? 0}`)
  for (;;) {
    const value = next++
    say(`begin ${keyspace.name} ${key} ${value}`)
    if (removes(value)) await keyspace.remove(key)
    else await keyspace.write(key, value)
    say(`done ${keyspace.name} ${key} ${value}`)
    if (random.below(10) === 0) say(`read ${keyspace.name} ${key} ${(await keyspace.read(key)) ?? 0}`)
    if (random.below(30) === 0) await sleep(clock, random.below(20))
  }
}

await Promise.all([rows, values].map(keyspace => keyspace.read(keysOf(keyspace.name)[0]!)))
say('open')
await Promise.all([rows, values].flatMap(keyspace => keysOf(keyspace.name).map(key => caller(keyspace, key))))
