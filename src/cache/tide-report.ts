// What the tide tells, as people want it: a line in the log when something changes, and numbers. Lanes that are begun anew for
// one reason are one line. Not for: deciding anything.
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import type { ResetLog, SourceEvents } from './running-source.ts'
import type { SourceGauges } from './source-gauges.ts'
import type { TermEnd, TideObserver } from './tide-observer.ts'

export interface TideReportOptions {
  readonly name: string
  readonly lanes: number
  readonly clock: Clock
  readonly gauges: SourceGauges
  readonly resets: ResetLog
  readonly events: SourceEvents
}

/** Resets are gathered for so long before they are told. */
const GATHER_MS = 200

/** Of terms that end without an error; a stopped one is not told of. */
const reasons: Readonly<Record<TermEnd['kind'], string>> = {
  taken: 'another process reads the log',
  elsewhere: 'the database is of another epoch now; the log is read anew',
  behind: 'a lane of the tier was set back; the log is read again from there',
  superseded: 'another tide, of another epoch of the database, has taken the lanes',
  lost: 'the log was lost',
  refused: 'the tier refused it',
  stopped: 'it was stopped',
}

export class TideReport implements TideObserver {
  readonly resets: ResetLog
  /** Another process runs the tide. */
  taken = false
  /** Why no tide could be had, as of the last attempt; undefined: there is one. */
  trouble: string | undefined
  readonly #options: TideReportOptions
  readonly #gathered = new Map<string, number>()
  #gathering = false

  constructor(options: TideReportOptions) {
    this.#options = options
    this.resets = options.resets
  }

  opened(): void {
    this.taken = false
    this.trouble = undefined
    this.#options.gauges.set('tideHeld', 1)
    this.#options.events.log(`database '${this.#options.name}': the tide runs here`)
  }

  ended(end: TermEnd): void {
    const { gauges, events, name } = this.#options
    const held = gauges.get('tideHeld') === 1
    gauges.set('tideHeld', 0)
    gauges.set('lagMs', 0)
    if (end.kind === 'taken' && !this.taken) {
      events.log(`database '${name}': the tide runs in another process`)
      this.trouble = undefined
    }
    this.taken = end.kind === 'taken'
    const why = 'error' in end ? messageOf(end.error) : undefined
    if (held && end.kind !== 'stopped')
      events.log(`database '${name}': the tide stopped here: ${why ?? reasons[end.kind]}`)
    else if (why !== undefined && why !== this.trouble) events.log(`database '${name}': no tide: ${why}`)
    if (!this.taken) this.trouble = why
  }

  reset(_lane: number, reason: string): void {
    const { clock, gauges } = this.#options
    this.resets.add(reason, clock.wallMs())
    gauges.add('resets', 1)
    this.#gathered.set(reason, (this.#gathered.get(reason) ?? 0) + 1)
    if (this.#gathering) return
    this.#gathering = true
    clock.timer(GATHER_MS, () => this.#tell(), { unref: true })
  }

  #tell(): void {
    this.#gathering = false
    for (const [reason, lanes] of this.#gathered) this.#options.events.reset(lanes, reason)
    this.#gathered.clear()
  }

  applied(_lane: number, changes: number, waitedMs: number): void {
    this.#options.gauges.add('changes', changes)
    this.#options.gauges.add('changeWaitMs', changes * waitedMs)
  }

  mismatch(): void {
    this.#options.gauges.add('mismatches', 1)
  }

  retry(_lane: number | undefined, error: unknown): void {
    const { gauges, events } = this.#options
    gauges.add('retries', 1)
    // The log is another's, and will stay so.
    if (!(error instanceof TidemarkError) || error.code !== 'FEED_TAKEN' || this.trouble === error.message) return
    this.trouble = error.message
    events.log(error.message)
  }

  unsettled(transactions: number): void {
    if (transactions === 0) return
    const what = transactions === 1 ? 'a transaction that is' : `${transactions} transactions that are`
    this.#options.events.log(`database '${this.#options.name}': lanes wait for ${what} under way to end`)
  }

  lag(ms: number): void {
    this.#options.gauges.set('lagMs', ms)
  }
}
