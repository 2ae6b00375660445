// What the tests of the library have in common: a cache by a clock that stands still, a source of functions that can be held
// up, and short words for waiting. Not for: databases, which are real in tests; tiers (loading/tier-scene.ts).
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { TidemarkError, type ErrorCode } from '../../src/base/errors.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import type { TidemarkOptions } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/clock.ts'

export interface Opened {
  readonly tide: Tidemark
  readonly clock: ManualClock
}

/** Closed at the end of the test. */
export function open(t: TestContext, options: TidemarkOptions = {}): Opened {
  const clock = new ManualClock()
  const tide = new Tidemark(options, { clock, random: seededRandom(Number(process.env['TIDEMARK_SEED'] ?? 1)) })
  t.after(() => tide.close())
  return { tide, clock }
}

/** Lets everything run that needs no time to pass. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise<void>(resolve => {
      setImmediate(resolve)
    })
  }
}

/** Functions over a Map, that count their calls and wait wherever `gate` says. */
export class Functions {
  readonly rows: Map<string, unknown>
  readonly loads: (readonly string[])[] = []
  readonly stores: ReadonlyMap<string, unknown>[] = []
  readonly removals: (readonly string[])[] = []
  /** What every call waits for, before and after it looks at the rows. */
  before: () => Promise<void> = () => Promise.resolve()
  after: () => Promise<void> = () => Promise.resolve()

  constructor(rows: Readonly<Record<string, unknown>> = {}) {
    this.rows = new Map(Object.entries(rows))
  }

  readonly load = async (ids: readonly string[]): Promise<Map<string, unknown>> => {
    this.loads.push(ids)
    await this.before()
    const found = new Map(ids.filter(id => this.rows.has(id)).map(id => [id, this.rows.get(id)]))
    await this.after()
    return found
  }

  readonly store = async (entries: ReadonlyMap<string, unknown>): Promise<void> => {
    this.stores.push(entries)
    await this.before()
    for (const [id, value] of entries) this.rows.set(id, value)
    await this.after()
  }

  readonly remove = async (ids: readonly string[]): Promise<void> => {
    this.removals.push(ids)
    await this.before()
    for (const id of ids) this.rows.delete(id)
    await this.after()
  }

  /** Everything that is called from now on waits until the function returned is called. */
  hold(where: 'before' | 'after' = 'before'): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this[where] = () => promise
    return () => {
      this[where] = () => Promise.resolve()
      resolve()
    }
  }
}

/** Rejects, later and not at once, with the code, and a message that the expression matches. */
export async function refused(call: () => Promise<unknown>, code: ErrorCode, message: RegExp = /./): Promise<void> {
  const promise = call()
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof TidemarkError, `a TidemarkError, not ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })
}

/** Throws with the code, and a message that the expression matches. */
export function throwsWith(call: () => unknown, code: ErrorCode, message: RegExp): void {
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof TidemarkError, `a TidemarkError, not ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })
}
