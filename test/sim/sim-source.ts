// The simulated Postgres as a Source: queries and transactions over pooled connections, each to whichever server was the
// primary when it was opened. Not for: the log (sim-feed.ts).
import { TidemarkError } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import { epochOf } from '../../src/coherence/epoch.ts'
import { boundedSnapshot } from '../../src/coherence/stamp.ts'
import type {
  LoadResult,
  RowOperation,
  RowOutcome,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from '../../src/source/source.ts'
import { Connection, ConnectionLost, type Network } from './network.ts'
import type { SimProcess } from './machine.ts'
import type { Postgres, Transaction } from './postgres.ts'
import { COUNTERS, rowOf, TRIGGERED, valueOf } from './row.ts'

/** What a process knows of the database: which server it would connect to now, and how lanes and keyspaces are laid out. */
export interface Directory {
  primary(): Postgres
  readonly lanes: number
  /** Another text: keyspaces or a publication that the others do not have. */
  readonly layout: string
}

export interface SourceShape {
  readonly statementMs: number
  readonly slowOneIn: number
  readonly slowMs: number
  readonly timeoutMs: number
  readonly connections: number
  /** Commits do not wait for the disk. */
  readonly asynchronous: boolean
  /** One write in so many fires a trigger that nobody knows of (0: none). */
  readonly hiddenTriggerOneIn: number
}

export interface SimSourceOptions {
  readonly process: SimProcess
  readonly network: Network
  readonly directory: Directory
  readonly shape: SourceShape
  readonly random: Random
  readonly newValue: () => number
}

const epochs = new WeakMap<Postgres, Map<string, bigint>>()

/** The fingerprint that a process with this layout gives a server. */
export function epochOfServer(postgres: Postgres, directory: Pick<Directory, 'lanes' | 'layout'>): bigint {
  let known = epochs.get(postgres)
  if (known === undefined) epochs.set(postgres, (known = new Map<string, bigint>()))
  const layout = `${directory.lanes} ${directory.layout}`
  const found = known.get(layout)
  if (found !== undefined) return found
  const epoch = epochOf({
    systemId: '7000000000000000001',
    timeline: postgres.timeline,
    run: `${postgres.knownRun}`,
    lanes: directory.lanes,
    keyspaces: [],
    publication: directory.layout,
  })
  known.set(layout, epoch)
  return epoch
}

interface Pooled {
  readonly connection: Connection
  readonly postgres: Postgres
}

export class SimSource implements Source {
  readonly name = 'postgres'
  epoch: bigint
  readonly #options: SimSourceOptions
  readonly #pool: (Pooled | undefined)[]
  #closed = false

  constructor(options: SimSourceOptions) {
    this.#options = options
    this.#pool = new Array<Pooled | undefined>(options.shape.connections).fill(undefined)
    this.epoch = epochOfServer(options.directory.primary(), options.directory)
  }

  async load(keyspace: string, ids: readonly string[]): Promise<LoadResult> {
    const { postgres, connection } = this.#connect()
    const epoch = epochOfServer(postgres, this.#options.directory)
    const { clock } = postgres.process
    const result = await this.#call<LoadResult>(connection, answer => {
      clock.timer(this.#statementMs(), () => {
        const { xmin, xmax, inProgress } = postgres.snapshot()
        const snapshot = boundedSnapshot(xmin, xmax, inProgress)
        const rows = ids.map(id => rowOf(id, postgres.value(`${keyspace}:${id}`)))
        // What comes after in the same query is read a little later.
        clock.timer(this.#statementMs() / 2, () => {
          answer({ rows, stamp: { kind: 'load', snapshot, flush: postgres.flushed, epoch, upto: postgres.wal } })
        })
      })
    })
    this.epoch = epoch
    return result
  }

  async position(): Promise<SourcePosition> {
    const { postgres, connection } = this.#connect()
    const epoch = epochOfServer(postgres, this.#options.directory)
    const position = await this.#call<bigint>(connection, answer => answer(postgres.wal))
    this.epoch = epoch
    return { position, epoch }
  }

  async write(writes: readonly RowWrite[]): Promise<WriteResult> {
    const { postgres, connection } = this.#connect()
    const epoch = epochOfServer(postgres, this.#options.directory)
    const result = await this.#call<WriteResult>(connection, answer => {
      const transaction = new WriteTransaction(this.#options, postgres, writes, epoch, answer)
      connection.onCloseAtServer(() => transaction.abandon())
      transaction.begin(() => this.#statementMs())
    })
    this.epoch = epoch
    return result
  }

  close(): Promise<void> {
    this.#closed = true
    for (const pooled of this.#pool) pooled?.connection.close()
    return Promise.resolve()
  }

  /** The servers that the pool is connected to. */
  servers(): Set<Postgres> {
    return new Set(this.#pool.flatMap(pooled => (pooled?.connection.open === true ? [pooled.postgres] : [])))
  }

  #statementMs(): number {
    const { shape, random } = this.#options
    const usualMs = shape.statementMs * (0.5 + random.fraction())
    return shape.slowOneIn > 0 && random.below(shape.slowOneIn) === 0
      ? usualMs + random.fraction() * shape.slowMs
      : usualMs
  }

  #connect(): Pooled {
    const { random, network, process, directory } = this.#options
    const index = random.below(this.#pool.length)
    const pooled = this.#pool[index]
    if (pooled?.connection.open === true) return pooled
    const postgres = directory.primary()
    const opened = { postgres, connection: new Connection(network, process, postgres.process) }
    this.#pool[index] = opened
    return opened
  }

  async #call<T>(connection: Connection, serve: (answer: (value: T) => void) => void): Promise<T> {
    if (this.#closed) throw new TidemarkError('SOURCE_UNAVAILABLE', 'the source is closed')
    try {
      return await connection.call<T>(this.#options.shape.timeoutMs, serve)
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
      throw new TidemarkError('SOURCE_TIMEOUT', `the simulated database: ${error.message}`, { cause: error })
    }
  }
}

/** One call of `write` in the server: all rows in one transaction, locked in one order. */
class WriteTransaction {
  readonly #options: SimSourceOptions
  readonly #postgres: Postgres
  readonly #tx: Transaction
  readonly #writes: readonly { readonly write: RowWrite; readonly index: number; readonly key: string }[]
  readonly #outcomes: RowOutcome[] = []
  readonly #epoch: bigint
  readonly #answer: (result: WriteResult) => void

  constructor(
    options: SimSourceOptions,
    postgres: Postgres,
    writes: readonly RowWrite[],
    epoch: bigint,
    answer: (result: WriteResult) => void,
  ) {
    this.#options = options
    this.#postgres = postgres
    this.#tx = postgres.begin()
    this.#writes = writes
      .map((write, index) => ({ write, index, key: `${write.keyspace}:${write.id}` }))
      .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index))
    this.#epoch = epoch
    this.#answer = answer
  }

  begin(statementMs: () => number): void {
    this.#next(0, statementMs)
  }

  /** The client is gone: what has not begun to commit never will. */
  abandon(): void {
    this.#postgres.abort(this.#tx)
  }

  #next(at: number, statementMs: () => number): void {
    const step = this.#writes[at]
    if (step === undefined) {
      this.#commit(statementMs)
      return
    }
    this.#postgres.process.clock.timer(statementMs(), () => {
      if (this.#tx.state !== 'running') return
      this.#postgres.lock(this.#tx, step.key, () => {
        this.#outcomes[step.index] = this.#change(step.key, step.write)
        this.#next(at + 1, statementMs)
      })
    })
  }

  #change(key: string, write: RowWrite): RowOutcome {
    const { operation, id } = write
    const before = rowOf(id, this.#postgres.seen(this.#tx, key))
    if (!isAsExpected(operation, before)) return { changed: false, before, after: before, fields: 0, exact: true }
    if (operation.kind === 'remove') {
      if (before !== null) this.#postgres.change(this.#tx, key, null)
      return { changed: before !== null, before, after: null, fields: 0, exact: true }
    }
    if (operation.kind !== 'replace') throw new Error(`the simulated database does not know '${operation.kind}'`)
    this.#postgres.change(this.#tx, key, valueOf(operation.row))
    return { changed: true, before, after: operation.row, fields: 1, exact: write.keyspace !== TRIGGERED }
  }

  #commit(statementMs: () => number): void {
    const at = this.#postgres.wal
    this.#fireTriggers()
    this.#postgres.process.clock.timer(statementMs(), () => {
      if (this.#tx.state !== 'running') return
      this.#postgres.commit(this.#tx, this.#options.shape.asynchronous, true, () => {
        const stamp = { kind: 'write', xid: this.#tx.xid, at, epoch: this.#epoch, upto: this.#postgres.wal } as const
        this.#answer({ outcomes: this.#outcomes, stamp })
      })
    })
  }

  /** After the rows were returned: a trigger that is known; or one that is not, which then changes all rows again. */
  #fireTriggers(): void {
    const { shape, random, newValue } = this.#options
    const hidden = shape.hiddenTriggerOneIn > 0 && random.below(shape.hiddenTriggerOneIn) === 0
    for (const { key, write } of this.#writes.toReversed()) {
      if (write.operation.kind === 'remove' || write.keyspace === COUNTERS) continue
      if (write.keyspace === TRIGGERED || hidden) this.#postgres.change(this.#tx, key, newValue())
    }
  }
}

/** What `condition` and `expected` of a write ask of the row as it is. */
function isAsExpected(operation: RowOperation, before: Uint8Array | null): boolean {
  if (operation.kind === 'replace' && operation.condition === 'absent') return before === null
  if ((operation.kind !== 'replace' && operation.kind !== 'remove') || operation.expected === undefined) return true
  return before !== null && Buffer.compare(before, operation.expected) === 0
}
