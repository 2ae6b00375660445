// What the supervisor tells of the databases: their metrics, and whether the server is ready to answer as its keyspaces ask.
// Not for: what TM.STATUS and TM.LANES tell, which the databases' threads are asked for.
import type { Databases } from './databases.ts'
import type { ServerMetrics } from './metrics.ts'
import type { ServerSettings } from './settings.ts'

export interface Readiness {
  /** What keeps the server from answering as it should. */
  readonly unready: readonly string[]
  /** What is not as it should be, while all is answered: rows come from the database. */
  readonly degraded: readonly string[]
}

/** A database that has not been heard of for so long does not answer. */
const SILENT_MS = 3_000

export function readinessOf(databases: Databases, settings: ServerSettings, nowMs: number): Readiness {
  const unready: string[] = []
  const degraded: string[] = []
  for (const { name, ageMs, unproved, lanes, answeredMs } of databases.ages(nowMs)) {
    if (unproved === 0) continue
    const age = Number.isFinite(ageMs) ? `the oldest only as of ${Math.round(ageMs)} ms ago` : 'some not at all'
    const what = `database '${name}': ${unproved} of ${lanes} lanes are not proved to be fresh, ${age}`
    const answers = nowMs - answeredMs < SILENT_MS
    const fails = settings.keyspaces.some(each => each.database === name && each.whenStale === 'fail')
    if (answers && !fails) degraded.push(what)
    else unready.push(answers ? what : `${what}; and it does not answer`)
  }
  return { unready, degraded }
}

/** Copies what the databases' threads count into the supervisor's row. */
export function readDatabases(databases: Databases, metrics: ServerMetrics, nowMs: number): void {
  const all = databases.gauges()
  const sum = (gauge: Parameters<(typeof all)[number]['get']>[0]): number =>
    all.reduce((total, each) => total + each.get(gauge), 0)
  metrics.set('tidemark_tides_held', sum('tideHeld'))
  metrics.set('tidemark_lane_resets_total', sum('resets'))
  metrics.set('tidemark_tide_changes_total', sum('changes'))
  metrics.set('tidemark_tide_change_wait_seconds_total', sum('changeWaitMs') / 1000)
  metrics.set('tidemark_tide_mismatches_total', sum('mismatches'))
  metrics.set('tidemark_tide_retries_total', sum('retries'))
  metrics.set('tidemark_tide_lag_seconds', Math.max(0, ...all.map(each => each.get('lagMs'))) / 1000)
  const ages = databases.ages(nowMs)
  const proved = ages.map(({ ageMs }) => ageMs).filter(ageMs => Number.isFinite(ageMs))
  metrics.set('tidemark_proof_age_seconds', Math.max(0, ...proved) / 1000)
  metrics.set(
    'tidemark_lanes_unproved',
    ages.reduce((total, { unproved }) => total + unproved, 0),
  )
}
