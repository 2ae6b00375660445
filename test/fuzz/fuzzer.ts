// Fuzzes one server: plays cases on many connections at once, until so many commands were sent or something is wrong. Then finds the
// case that did it, alone on a fresh server, and makes it smaller by halving.
import type { Clock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { commandTable } from '../../src/server/commands/table.ts'
import { FuzzCases } from './fuzz-case.ts'
import type { FuzzCase } from './fuzz-case.ts'
import { playCase } from './fuzz-connection.ts'
import { FuzzedServer } from './fuzzed-server.ts'
import type { Health } from './fuzzed-server.ts'
import { largeValue } from './random-requests.ts'
import { Witness } from './witness.ts'

export interface FuzzOptions {
  readonly seed: number
  readonly commands: number
  /** Only this case, alone. */
  readonly onlyCase?: number | undefined
  readonly clock: Clock
  readonly progress: (done: number, total: number) => void
  /** Says at once what is wrong: to find the case that did it takes a while. */
  readonly wrong: (flaw: string) => void
}

export interface FuzzResult {
  readonly flaw: string | undefined
  /** The smallest case found that does it alone, on a fresh server. */
  readonly smallest: FuzzCase | undefined
  readonly commands: number
  readonly cases: number
  readonly kinds: Readonly<Record<string, number>>
  readonly before: Health
  readonly after: Health
  /** Resident memory in MB, at even distances from the first command to the last. */
  readonly residentMb: readonly number[]
  readonly witnessRounds: number
  readonly witnessHits: number
  readonly witnessSlowestMs: number
}

const CONNECTIONS = 40
const HEALTH_EVERY_CASES = 500
const SUSPECTS = 2 * HEALTH_EVERY_CASES
/**
 * Memory over that of a server that serves nobody yet: buffers of connections, heaps of two threads, code that got hot. It is
 * 330 to 430 MB after a million commands, and no more after eight million.
 */
const GROWTH_MB_MAX = 520
const SETTLE_MS = 10_000
const SHRINKS_MAX = 60

class Run {
  readonly server: FuzzedServer
  flaw: string | undefined
  commands = 0
  cases = 0
  readonly kinds: Record<string, number> = {}
  readonly suspects: FuzzCase[] = []
  readonly residentMb: number[] = []
  readonly #clock: Clock
  #before!: Health
  #checking = false
  #foundByLooking = false

  constructor(server: FuzzedServer, clock: Clock) {
    this.server = server
    this.#clock = clock
  }

  get before(): Health {
    return this.#before
  }

  async begin(): Promise<void> {
    this.#before = await this.server.health()
  }

  async play(played: FuzzCase): Promise<void> {
    this.suspects.push(played)
    if (this.suspects.length > SUSPECTS) this.suspects.shift()
    this.commands += played.commands
    this.cases++
    this.kinds[played.kind] = (this.kinds[played.kind] ?? 0) + 1
    const flaw = await playCase(this.server.port, played, this.#clock)
    if (flaw !== undefined) this.flaw ??= `case ${played.index}, ${played.kind}: ${flaw}`
    if (this.cases % HEALTH_EVERY_CASES === 0) await this.check()
  }

  /** Looks after the server itself. */
  async check(): Promise<void> {
    if (this.#checking) return
    this.#checking = true
    const flaw = await this.#look().catch((error: unknown) => `the server cannot be asked: ${String(error)}`)
    // What is wrong with the server says more than what a connection noticed of it.
    if (flaw !== undefined && !this.#foundByLooking) {
      this.flaw = flaw + (this.flaw === undefined ? '' : `; ${this.flaw}`)
      this.#foundByLooking = true
    }
    this.#checking = false
  }

  async #look(): Promise<string | undefined> {
    const { server } = this
    if (!server.alive) return `the server is gone: ${server.process.stderr.slice(-2_000)}`
    const health = await server.health()
    this.residentMb.push(health.residentMb)
    const said = server.process.stderr
    if (health.deaths > 0) return `${health.deaths} threads died: ${said.slice(-3_000)}`
    if (health.wipes > 0) return `${health.wipes} shards were wiped: ${said.slice(-3_000)}`
    if (/a bug:/.test(said)) return `a command failed unexpectedly: ${said.slice(0, 3_000)}`
    if (health.residentMb > this.#before.residentMb + GROWTH_MB_MAX) {
      return `memory grew from ${this.#before.residentMb} MB to ${health.residentMb} MB`
    }
    return undefined
  }

  /** Once all connections are over: none of them may still count as open. */
  async settle(open: number): Promise<Health> {
    const giveUpMs = this.#clock.monotonicMs() + SETTLE_MS
    for (;;) {
      await this.check()
      if (!this.server.alive) return this.#before
      const health = await this.server.health()
      if (health.connections === open || this.flaw !== undefined) return health
      if (this.#clock.monotonicMs() > giveUpMs) {
        this.flaw ??= `${health.connections} connections are open instead of ${open}`
        return health
      }
    }
  }
}

async function playAll(run: Run, cases: FuzzCases, witness: Witness, options: FuzzOptions): Promise<void> {
  let next = 0
  const client = async (): Promise<void> => {
    while (run.commands < options.commands && run.flaw === undefined && witness.flaw === undefined) {
      await run.play(cases.at(next++))
      options.progress(run.commands, options.commands)
    }
  }
  if (options.onlyCase === undefined) await Promise.all(Array.from({ length: CONNECTIONS }, client))
  else await run.play(cases.at(options.onlyCase))
}

/** What goes wrong when these cases are played one after another on a fresh server, each alone. */
async function flawOf(played: readonly FuzzCase[], clock: Clock): Promise<{ flaw: string; of: FuzzCase } | undefined> {
  const server = await FuzzedServer.start()
  const run = new Run(server, clock)
  try {
    await run.begin()
    for (const each of played) {
      await run.play(each)
      await run.check()
      if (run.flaw !== undefined) return { flaw: run.flaw, of: each }
    }
    return undefined
  } finally {
    await server.stop()
  }
}

/** Leaves out half of the parts, then quarters, and so on, as long as it still goes wrong. */
async function shrink(played: FuzzCase, clock: Clock): Promise<FuzzCase> {
  let smallest = played
  let tries = 0
  for (let size = Math.ceil(played.parts.length / 2); size >= 1 && tries < SHRINKS_MAX; size = Math.floor(size / 2)) {
    for (let at = 0; at < smallest.parts.length && tries < SHRINKS_MAX; tries++) {
      const parts = smallest.parts.toSpliced(at, size)
      const smaller = { ...smallest, parts, bytesSent: Infinity }
      if (parts.length > 0 && (await flawOf([smaller], clock)) !== undefined) smallest = smaller
      else at += size
    }
  }
  return smallest
}

async function smallestOf(run: Run, clock: Clock): Promise<FuzzCase | undefined> {
  // Most likely first: the case that noticed it, then the latest ones.
  const noticed = run.suspects.filter(({ index }) => run.flaw!.includes(`case ${index},`))
  const found = (await flawOf(noticed, clock)) ?? (await flawOf(run.suspects.toReversed(), clock))
  return found === undefined ? undefined : shrink(found.of, clock)
}

function thinned(samples: readonly number[]): number[] {
  const shown = 12
  if (samples.length <= shown) return [...samples]
  return Array.from({ length: shown }, (_, i) => samples[Math.floor((i * (samples.length - 1)) / (shown - 1))]!)
}

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { clock, seed } = options
  const cases = new FuzzCases(seed, commandTable.commands, largeValue())
  const server = await FuzzedServer.start()
  const run = new Run(server, clock)
  const witness = new Witness(server.port, clock, seededRandom(seed))
  await run.begin()
  witness.start()
  await playAll(run, cases, witness, options)
  await run.check()
  await witness.stop()
  run.flaw ??= witness.flaw
  const after = await run.settle(0)
  const code = await server.stop()
  if (code !== 0) run.flaw ??= `the server ended with ${code}: ${server.process.stderr.slice(-2_000)}`
  if (run.flaw !== undefined) options.wrong(run.flaw)
  return {
    flaw: run.flaw,
    smallest: run.flaw === undefined ? undefined : await smallestOf(run, clock),
    commands: run.commands,
    cases: run.cases,
    kinds: run.kinds,
    before: run.before,
    after,
    residentMb: thinned(run.residentMb),
    witnessRounds: witness.rounds,
    witnessHits: witness.hits,
    witnessSlowestMs: Math.round(witness.slowestMs),
  }
}
