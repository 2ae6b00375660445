// Many who miss at once, and how often the source is asked: counts, which no other load on the machine changes.
import { createTidemark } from '../../src/index.ts'
import { keyNames } from './keys.ts'

const CALLERS = 1_000
const BATCH_MAX = 100

/** Of `series`: all callers ask for one key, or each for one of its own, in queries of at most 100 keys. */
export async function countLoads(series: string): Promise<{ readonly calls: number; readonly loads: number }> {
  let loads = 0
  await using tide = await createTidemark()
  const users = tide.keyspace<{ readonly name: string }>('users', {
    source: {
      load: async ids => {
        loads++
        await new Promise(resolve => {
          setImmediate(resolve)
        })
        return new Map(ids.map(name => [name, { name }]))
      },
    },
    load: { maxBatch: BATCH_MAX },
  })
  const keys = series === 'one key' ? keyNames(CALLERS).fill('user:1') : keyNames(CALLERS)
  const answers = await Promise.all(keys.map(key => users.get(key)))
  for (const [at, answer] of answers.entries())
    if (answer?.name !== keys[at]) throw new Error('an answer is another one')
  return { calls: CALLERS, loads }
}
