// Writing behind, by chance: writes, reads, removals, loads and batches that overlap, before a source that fails, hangs or takes a
// part, over processes that end by SIGKILL or with the machine's power, on a disk that fails. A model knows what may be read:
// of each key the last value that was acknowledged, or one that was attempted after that. Within a process no read goes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TidemarkError } from '../../../src/base/errors.ts'
import { seededRandom, type Random } from '../../../src/base/random.ts'
import type { Keyspace } from '../../../src/index.ts'
import type { Fault, Plan } from '../../journal/simulated-disk.ts'
import { BehindScene, settle } from './behind-scene.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const RUNS = Number(process.env['TIDEMARK_RUNS'] ?? 60)
const KEYS = ['a', 'b', 'c', 'd']
const faults: readonly Fault[] = ['ENOSPC', 'EIO', 'kill', 'power']
const harmless = new Set(['JOURNAL_FAILED', 'JOURNAL_FULL'])

/** Values are numbers that grow; every fifth write removes. */
const removes = (value: number): boolean => value % 5 === 0

class Model {
  readonly #acknowledged = new Map<string, number>()
  readonly #attempted = new Map<string, number[]>()
  #values = 0
  reads = 0
  writes = 0

  attempt(key: string): number {
    const value = ++this.#values
    this.#attempted.set(key, [...(this.#attempted.get(key) ?? []), value])
    return value
  }

  acknowledge(key: string, value: number): void {
    this.writes++
    this.#acknowledged.set(key, Math.max(value, this.floor(key)))
  }

  floor(key: string): number {
    return this.#acknowledged.get(key) ?? 0
  }

  /** `floor`: what had been acknowledged when the read began. Throws when `read` is none of what it may be. */
  check(key: string, floor: number, read: unknown, what: string): void {
    this.reads++
    const later = (this.#attempted.get(key) ?? []).filter(value => value > floor)
    const allowed = [floor, ...later].map(value => (value === 0 || removes(value) ? undefined : value))
    assert.ok(allowed.includes(read as number | undefined), `${what}: ${key} reads ${String(read)}, may be ${allowed.join(', ')}`) // prettier-ignore
  }
}

async function write(values: Keyspace, model: Model, key: string): Promise<void> {
  const value = model.attempt(key)
  try {
    if (removes(value)) await values.delete(key)
    else await values.set(key, value)
    model.acknowledge(key, value)
  } catch (error) {
    assert.ok(error instanceof TidemarkError && harmless.has(error.code), String(error))
  }
}

async function read(values: Keyspace, model: Model, key: string, fresh: boolean): Promise<void> {
  const floor = model.floor(key)
  try {
    const value = fresh ? await values.get(key, { maxStaleness: 0 }) : await values.get(key)
    model.check(key, floor, value, fresh ? 'fresh' : 'get')
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    assert.ok(/down|took more|JOURNAL_FAILED|cannot be opened/.test(String(error)), String(error))
  }
}

function upset(scene: BehindScene, random: Random): void {
  const { functions } = scene
  const mood = random.below(6)
  functions.before = functions.after = () => Promise.resolve()
  if (mood === 0) functions.before = () => Promise.reject(new Error('down'))
  if (mood === 1) functions.after = () => Promise.reject(new Error('down, and did it'))
  if (mood === 2) functions.before = () => settle(random.below(30))
  if (mood === 3) functions.after = () => settle(random.below(30))
  if (mood === 4)
    functions.before = () => (random.below(2) === 0 ? Promise.resolve() : Promise.reject(new Error('down')))
}

async function live(scene: BehindScene, model: Model, random: Random, plan: Plan): Promise<void> {
  const { values, tide } = scene.start({
    plan,
    write: { batch: 3, maxDelay: '20ms', maxPending: 8, retry: { first: '10ms', max: '200ms' } },
    keyspace: { ttl: '500ms' },
  })
  tide.on('error', ({ error }) => {
    assert.ok(!(error instanceof TidemarkError) || error.code === 'JOURNAL_FAILED' || error.code === 'SOURCE_PARTLY', String(error)) // prettier-ignore
  })
  const key = (): string => KEYS[random.below(KEYS.length)]!
  const failures: unknown[] = []
  const keep = (work: Promise<void>): void => void work.catch((error: unknown) => failures.push(error))
  for (const each of KEYS) keep(read(values, model, each, false))
  for (let steps = random.below(80); steps > 0; steps--) {
    const dice = random.below(12)
    // One writer for each key: of two at once the model would not know which is the last.
    if (dice < 4) keep(writeInTurn(values, model, key()))
    else if (dice < 7) keep(read(values, model, key(), dice < 6))
    else if (dice < 8) upset(scene, random)
    else if (dice < 9) void values.clear()
    else if (dice < 11) await scene.pass(random.below(60))
    else await settle(random.below(20))
    if (failures.length > 0) throw failures[0]
  }
  await settle()
  if (failures.length > 0) throw failures[0]
}

let writing = new Set<string>()
async function writeInTurn(values: Keyspace, model: Model, key: string): Promise<void> {
  if (writing.has(key)) return
  const own = writing
  own.add(key)
  await write(values, model, key).finally(() => own.delete(key))
}

test('whatever happens, what is read, and what the source has in the end, is what was acknowledged or came after it', async () => {
  const totals = { reads: 0, writes: 0, calls: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 2 ** 31 }), async seed => {
      const random = seededRandom(seed)
      const scene = new BehindScene(undefined, {}, seed)
      const model = new Model()
      for (let lives = 1 + random.below(5); lives > 0; lives--) {
        const fault = faults[random.below(faults.length)]!
        writing = new Set()
        await live(scene, model, random, { at: 5 + random.below(120), fault, shortWrites: random.below(2) === 0 })
        scene.kill()
        if (random.below(2) === 0) scene.disk.cutPower()
      }
      scene.functions.before = scene.functions.after = () => Promise.resolve()
      const { values } = scene.start({ write: { retry: { first: '10ms', max: '20ms' } } })
      for (const key of KEYS) await read(values, model, key, true)
      await values.flush()
      for (const key of KEYS) model.check(key, model.floor(key), scene.functions.rows.get(key), 'source')
      totals.reads += model.reads
      totals.writes += model.writes
      totals.calls += scene.functions.stores.length
    }),
    { numRuns: RUNS },
  )
  assert.ok(totals.reads > 10 * RUNS && totals.writes > 10 * RUNS && totals.calls > 5 * RUNS, JSON.stringify(totals))
})
