// Calls to write: one write is one statement and its own transaction; several are one transaction. What lost against another
// transaction (a deadlock, a row inserted at the same time) is done again. Together with the commit goes the query for how
// far the log has come, so that a call of one write is one round trip.
// Not for: what one write is (postgres-write.ts).
import type { Clock } from '../base/clock.ts'
import { sleep } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { isRetriable } from './postgres-errors.ts'
import type { Cell, PostgresPool, Session, Statement } from './postgres-pool.ts'
import { answer } from './postgres-statements.ts'
import { isExpected, outcomeOf, planSum, statementOf, type WritePlan } from './postgres-write.ts'
import type { RowOutcome } from './source.ts'

export interface Written {
  readonly outcomes: readonly RowOutcome[]
  readonly server: string
  readonly xid: bigint
  readonly at: bigint
  readonly upto: bigint
}

const attemptsMax = 10
const retryMs = 5

/** Thrown inside a transaction that is to be rolled back and done again. */
class Again extends Error {}

export class PostgresWriter {
  readonly #pool: PostgresPool
  readonly #clock: Clock
  readonly #random: Random
  readonly #upto: Statement

  /** `upto` asks for a position that everything visible lies at or before. */
  constructor(pool: PostgresPool, clock: Clock, random: Random, upto: Statement) {
    this.#pool = pool
    this.#clock = clock
    this.#random = random
    this.#upto = upto
  }

  /** Resolves once it is committed and durable. Rejects with Postgres' own errors, nothing changed. */
  async write(plans: readonly WritePlan[]): Promise<Written> {
    const only = plans.length === 1 ? plans[0]! : undefined
    const single = only !== undefined && !needsLook(only)
    for (let attempt = 1; ; attempt++) {
      try {
        const written = await this.#pool.raw(session =>
          single ? this.#one(session, only) : this.#several(session, plans),
        )
        if (written !== undefined) return written
      } catch (thrown) {
        if (!isRetriable(thrown) || attempt === attemptsMax) throw thrown
      }
      if (attempt === attemptsMax) {
        throw new TidemarkError('SOURCE_BUSY', 'rows kept being inserted by others while they were written; try again')
      }
      await sleep(this.#clock, this.#random.below(retryMs * attempt + 1))
    }
  }

  /** undefined: do it again. */
  async #one(session: Session, plan: WritePlan): Promise<Written | undefined> {
    const [rows, upto] = await session.inOnePacket(() =>
      both(session.queryHere(statementOf(plan)), session.query(this.#upto)),
    )
    const cells = rows[0]!
    const outcome = outcomeOf(plan, cells, plan.condition === 'and-absent')
    return outcome === undefined ? undefined : written(session, [outcome], cells, upto)
  }

  /** undefined: do it again. */
  async #several(session: Session, plans: readonly WritePlan[]): Promise<Written | undefined> {
    try {
      const begun = session.query({ text: 'BEGIN ISOLATION LEVEL READ COMMITTED' })
      const locked = both(begun, lockAll(session, plans))
      const [, { outcomes, last }] = await both(locked, this.#inTransaction(session, plans))
      // A deferred constraint is checked by COMMIT, which then is an error.
      const [, upto] = await session.inOnePacket(() =>
        both(session.query({ text: 'COMMIT' }), session.query(this.#upto)),
      )
      // A row that another write of this transaction acted on may differ from what was returned.
      const exact = outcomes.every(outcome => outcome.exact)
      return written(session, exact ? outcomes : outcomes.map(outcome => ({ ...outcome, exact: false })), last, upto)
    } catch (thrown) {
      // On a connection that is gone there is nothing to roll back.
      await session.query({ text: 'ROLLBACK' }).catch(() => {})
      if (thrown instanceof Again) return undefined
      throw thrown
    }
  }

  async #inTransaction(
    session: Session,
    plans: readonly WritePlan[],
  ): Promise<{ outcomes: RowOutcome[]; last: readonly Cell[] }> {
    const sent: { plan: WritePlan; answer: Promise<Cell[][]>; withheld: boolean }[] = []
    let withheld = false
    for (const [i, plan] of plans.entries()) {
      if (plan.condition === 'all-absent') withheld = await isGroupThere(session, plans, i)
      else if (plan.condition !== 'and-absent') withheld = false
      let complete = plan
      if (plan.addition !== undefined || plan.expected !== undefined) {
        const [locked] = await session.queryHere(statementOf(plan, 'lock'))
        if (plan.addition !== undefined) complete = planSum(plan, locked!)
        else withheld = !isExpected(plan, locked!)
      }
      const statement = withheld ? statementOf(plan, 'read') : statementOf(complete)
      const answer = session.queryHere(statement)
      // Its error is met below; an earlier one's first.
      answer.catch(() => {})
      sent.push({ plan: complete, answer, withheld })
    }
    const outcomes: RowOutcome[] = []
    let last: readonly Cell[] = []
    for (const { plan, answer, withheld } of sent) {
      last = (await answer)[0]!
      const outcome = outcomeOf(plan, last, withheld)
      if (outcome === undefined) throw new Again('another transaction inserted the row')
      outcomes.push(outcome)
    }
    return { outcomes, last }
  }
}

/** Whether the row has to be looked at before it is known what to write. */
function needsLook({ addition, expected, condition }: WritePlan): boolean {
  return addition !== undefined || expected !== undefined || condition === 'all-absent'
}

/** Locks what is there of all rows, keyspace by keyspace in the order of their names. */
async function lockAll(session: Session, plans: readonly WritePlan[]): Promise<void> {
  const byKeyspace = Map.groupBy(plans, plan => plan.statements)
  const inOrder = [...byKeyspace].sort(([a], [b]) => (a.mapping.from < b.mapping.from ? -1 : 1))
  await Promise.all(inOrder.map(([statements, own]) => session.query(statements.lockAll(own.map(plan => plan.key)))))
}

/** Whether one of the rows that plans[first] and the plans after it wait for together is there. */
async function isGroupThere(session: Session, plans: readonly WritePlan[], first: number): Promise<boolean> {
  for (let i = first; i < plans.length; i++) {
    const plan = plans[i]!
    if (i > first && plan.condition !== 'and-absent') return false
    const [cells] = await session.queryHere(statementOf(plan, 'lock'))
    if (cells![answer.before] !== null) return true
  }
  return false
}

function written(session: Session, outcomes: readonly RowOutcome[], cells: readonly Cell[], upto: Cell[][]): Written {
  return {
    outcomes,
    server: session.server,
    xid: BigInt(cells[answer.xid]!),
    at: BigInt(cells[answer.at]!),
    upto: BigInt(upto[0]![0]!),
  }
}

/** Both are awaited to their ends, so that the connection is free again; the first's error counts before the second's. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'rejected') throw a.reason
  if (b.status === 'rejected') throw b.reason
  return [a.value, b.value]
}
