// The process that kill-rounds.ts kills: opens the journal in argv[2], appends entries labelled argv[3] from several callers at
// once without end, and says what was acknowledged, and what it is about to confirm, before it goes on.
import { writeSync } from 'node:fs'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Journal } from '../../src/journal/journal.ts'
import { diskStorage } from '../../src/journal/storage.ts'
import { contentOf, killOptions } from './kill-content.ts'

const CALLERS = 8
const [directory, label] = [process.argv[2]!, Number(process.argv[3])]
const random = seededRandom(label)
const { journal, entries } = await Journal.open({
  ...killOptions,
  directory,
  clock: systemClock(),
  random: systemRandom(),
  storage: diskStorage(),
})

let next = (entries.at(-1)?.sequence ?? journal.confirmed) + 1
let acknowledged = next - 1
let confirmed = journal.confirmed
const say = (line: string): void => void writeSync(1, `${line}\n`)

async function caller(): Promise<never> {
  for (;;) {
    const first = next
    next += 1 + random.below(3)
    const contents = Array.from({ length: next - first }, (_, index) => contentOf(label, first + index))
    const last = await journal.append(contents)
    say(`acknowledged ${first} ${last}`)
    acknowledged = last
    if (random.below(20) > 0) continue
    confirmed += random.below(acknowledged - confirmed + 1)
    say(`confirming ${confirmed}`)
    journal.confirm(confirmed)
  }
}

say('open')
await Promise.all(Array.from({ length: CALLERS }, caller))
