// A service with the library in it, as a process of its own: reads the rows of the grid by all calls that there are, all the
// time, and writes what it is told to. What it saw it tells as it is, and judges nothing.
// Not for: judging (history.ts), starting and ending it (library-process.ts).
import { createInterface } from 'node:readline'
import { sleep, systemClock } from '../../src/base/clock.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { createTidemark } from '../../src/library/tidemark.ts'
import type { CallOptions } from '../../src/library/options.ts'
import { postgres } from '../../src/postgres.ts'
import { keyspace, pickKey } from './demo-table.ts'
import type { Row } from './history.ts'
import type { LibraryOrder, LibraryReads, LibraryReport, LibrarySetup, LibraryWrite } from './library-messages.ts'

const PEEK_EVERY_MS = 5
const PEEKS = 48
const GET_EVERY_MS = 25
const GETS = 24
const READ_EVERY_MS = 20
const SESSION_EVERY_MS = 15
const SESSION_KEYS = 40
const bounds = [undefined, undefined, '0ms', '100ms', '1s'] as const
const boundsMs = { '0ms': 0, '100ms': 100, '1s': 1_000 } as const

const setup = JSON.parse(process.argv[2]!) as LibrarySetup
const clock = systemClock()
const random = seededRandom(setup.seed)
// The servers of the grid run the tide.
const tide = await createTidemark({ tier: setup.tier, tide: false })
const items = tide.keyspace<Row>(keyspace, { source: postgres(setup.database).table(keyspace) })
tide.on('error', ({ error }) => {
  if (!(error instanceof TidemarkError)) failed(error)
})
let reading: { readonly slowness: number } | undefined

function tell(report: LibraryReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

function failed(error: unknown): void {
  const code = error instanceof TidemarkError ? error.code : undefined
  tell({ type: 'error', code, text: error instanceof Error ? (error.stack ?? error.message) : String(error) })
}

// Of what may be a Row with more in it.
function rowOf(row: Row | undefined): Row | null {
  if (row === undefined) return null
  const { id, version, seal, writer } = row
  return { id, version, seal, writer }
}

/** Again and again, with a pause in between, while reads are asked for. */
async function repeat(everyMs: number, round: () => Promise<void> | void): Promise<never> {
  for (;;) {
    await sleep(clock, everyMs * (reading?.slowness ?? 1))
    if (reading === undefined) continue
    try {
      await round()
    } catch (error) {
      failed(error)
    }
  }
}

function keysAtRandom(count: number): string[] {
  return Array.from({ length: count }, () => String(pickKey(random, setup.keys)))
}

/** What is in memory, without a promise in between: the first thing that runs after the process was stopped. */
function peek(): void {
  const keys = keysAtRandom(PEEKS)
  const sentMs = clock.monotonicMs()
  const rows = keys.map(key => items.peek(key))
  const receivedMs = clock.monotonicMs()
  const answers = rows.flatMap((row, i) => (row === undefined ? [] : [{ key: Number(keys[i]), row: rowOf(row) }]))
  if (answers.length > 0) tell({ type: 'reads', call: 'peek', sentMs, receivedMs, answers })
}

async function get(): Promise<void> {
  const keys = keysAtRandom(GETS)
  const sentMs = clock.monotonicMs()
  const rows = await Promise.all(keys.map(key => items.get(key)))
  const answers = rows.map((row, i) => ({ key: Number(keys[i]), row: rowOf(row) }))
  tell({ type: 'reads', call: 'get', sentMs, receivedMs: clock.monotonicMs(), answers })
}

async function readOne(key: number, options: CallOptions, before: number | undefined): Promise<number> {
  const sentMs = clock.monotonicMs()
  const { value, age, tier, stale } = await items.read(String(key), options)
  const bound = options.maxStaleness as keyof typeof boundsMs | undefined
  const asked: LibraryReads['asked'] = {
    boundMs: bound && boundsMs[bound],
    serve: options.whenStale === 'serve',
    ageMs: Number.isFinite(age) ? age : null,
    tier,
    stale,
    before,
  }
  const answers = [{ key, row: rowOf(value) }]
  tell({ type: 'reads', call: 'read', sentMs, receivedMs: clock.monotonicMs(), answers, asked })
  return value?.version ?? 0
}

async function readWithBounds(): Promise<void> {
  const reads = keysAtRandom(4).map(key => {
    const maxStaleness = bounds[random.below(bounds.length)]
    const whenStale = random.below(4) === 0 ? ('serve' as const) : undefined
    return readOne(Number(key), { maxStaleness, whenStale }, undefined)
  })
  for (const { status, ...rest } of await Promise.allSettled(reads)) {
    if (status === 'rejected') failed((rest as PromiseRejectedResult).reason)
  }
}

/** One session reads and writes a few rows, one call after another. */
class SessionUser {
  readonly #session = tide.session()
  readonly #keys = Array.from({ length: SESSION_KEYS }, () => pickKey(random, setup.rows))
  readonly #seen = new Map<number, number>()

  async step(): Promise<void> {
    const key = this.#keys[random.below(this.#keys.length)]!
    const before = this.#seen.get(key) ?? 0
    const version = await readOne(key, { session: this.#session }, before)
    this.#seen.set(key, Math.max(before, version))
  }

  /** Writes are ordered; the session sees its own. */
  async write(order: LibraryWrite): Promise<void> {
    const { key } = order
    const row = await write(order, { session: this.#session })
    this.#seen.set(key, Math.max(this.#seen.get(key) ?? 0, row?.version ?? 0))
  }
}

async function write(order: LibraryWrite, options: Pick<CallOptions, 'session'>): Promise<Row | undefined> {
  const { number, key, writer, how } = order
  let before: number | undefined
  try {
    // A row that comes with version 0 meets the one that is there (demo-table.ts).
    const row =
      how === 'set'
        ? await items.set(String(key), { id: key, version: 0, seal: 0, writer }, options)
        : await items.update(
            String(key),
            found => {
              before = found?.version
              return found === undefined ? undefined : { ...found, version: 0, writer }
            },
            options,
          )
    tell({ type: 'written', number, row: rowOf(row), before })
    return row
  } catch (error) {
    if (!(error instanceof TidemarkError)) failed(error)
    tell({ type: 'refused', number, error: error instanceof Error ? error.message : String(error) })
    return undefined
  }
}

const user = new SessionUser()
const orders = createInterface({ input: process.stdin })
orders.on('line', line => {
  const order = JSON.parse(line) as LibraryOrder
  if (order.type === 'read') reading = order
  else if (order.type === 'rest') reading = undefined
  else void (order.number % 2 === 0 ? user.write(order) : write(order, {}))
})
// Whoever started it is gone.
orders.on('close', () => process.exit(0))
tell({ type: 'ready' })
await Promise.all([
  repeat(PEEK_EVERY_MS, peek),
  repeat(GET_EVERY_MS, get),
  repeat(READ_EVERY_MS, readWithBounds),
  repeat(SESSION_EVERY_MS, () => user.step()),
])
