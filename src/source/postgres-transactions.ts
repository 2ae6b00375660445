// From the messages of the log to whole transactions: which keys of which keyspaces each one changed, and where in the log it
// changed each for the last time.
//
// A change of a row is a change of its key in every keyspace that depends on its table; a changed key is a change of both. A
// transaction that did something to a table that no row tells (TRUNCATE, another shape, a key that is not in what was told)
// is a reset, and so is one with more keys than are kept.
// Not for: sockets, positions that were confirmed (postgres-feed.ts).
import { assert } from '../base/assert.ts'
import type { FeedItem } from './change-feed.ts'
import { formatKey, type KeyColumn } from './postgres-key.ts'
import type { KeyspaceMapping } from './postgres-mapping.ts'
import { decodeMessage, type PublishedRelation, type Tuple } from './postgres-pgoutput.ts'

/** What a row of a relation says about a keyspace. */
interface Target {
  readonly prefix: string
  readonly key: readonly KeyColumn[]
  /** Of the key's parts among the relation's columns. */
  readonly positions: readonly number[]
}

interface KnownRelation {
  readonly shape: string
  readonly wanted: readonly boolean[]
  readonly targets: readonly Target[]
  /** Why its rows do not say which keys they change. */
  readonly problem: string | undefined
}

interface OpenTransaction {
  readonly xid: bigint
  /** Key to the position of its last change. */
  readonly changes: Map<string, bigint>
  reset: string | undefined
}

export class PostgresTransactions {
  readonly #mappings: readonly KeyspaceMapping[]
  readonly #keysMax: number
  readonly #relations = new Map<number, KnownRelation>()
  readonly #wantedOf = (relation: number): readonly boolean[] | undefined => this.#relations.get(relation)?.wanted
  #open: OpenTransaction | undefined
  #lastXid: bigint
  #shapesChanged = 0

  /** `xid` is one that the database gave out lately: what the log tells are the lower 32 bits of others near it. */
  constructor(mappings: readonly KeyspaceMapping[], xid: bigint, keysMax: number) {
    this.#mappings = mappings
    this.#lastXid = xid
    this.#keysMax = keysMax
  }

  /** Moves when a table that a keyspace depends on is told to look differently than before. */
  get shapesChanged(): number {
    return this.#shapesChanged
  }

  /** Keys that are held for the transaction that is being told. */
  get held(): number {
    return this.#open?.changes.size ?? 0
  }

  /** Takes the next message, which stands at `position` in the log. Returns a transaction that it completes. */
  add(message: Buffer, position: bigint): FeedItem | undefined {
    const decoded = decodeMessage(message, this.#wantedOf)
    switch (decoded.kind) {
      case 'begin':
        this.#open = { xid: this.#widen(decoded.xid), changes: new Map(), reset: undefined }
        return undefined
      case 'commit':
        return this.#commit(decoded.end)
      case 'relation':
        this.#addRelation(decoded.relation)
        return undefined
      case 'change':
        this.#addChange(decoded.relation, decoded.before, decoded.after, position)
        return undefined
      case 'truncate':
        for (const relation of decoded.relations) {
          if ((this.#relations.get(relation)?.targets.length ?? 0) > 0) this.#resetOpen('a table was truncated')
        }
        return undefined
      case 'other':
        return undefined
    }
  }

  #commit(lsn: bigint): FeedItem {
    const open = this.#open
    assert(open !== undefined, 'a commit ends a transaction')
    this.#open = undefined
    const { xid, changes, reset } = open
    if (reset !== undefined) return { kind: 'reset', xid, lsn, reason: reset }
    const events = Array.from(changes, ([key, change]) => ({ key, xid, lsn, change }))
    return { kind: 'transaction', xid, lsn, events }
  }

  /** Transaction ids in use at the same time are less than 2^31 apart. */
  #widen(xid: number): bigint {
    const distance = BigInt.asIntN(32, BigInt(xid) - this.#lastXid)
    this.#lastXid += distance
    return this.#lastXid
  }

  #resetOpen(reason: string): void {
    const open = this.#open
    if (open === undefined) return
    open.reset ??= reason
    open.changes.clear()
  }

  #addRelation(relation: PublishedRelation): void {
    const shape = JSON.stringify([relation.schema, relation.name, relation.identity, relation.columns])
    const before = this.#relations.get(relation.id)
    if (before?.shape === shape) return
    const targets: Target[] = []
    let problem: string | undefined
    for (const mapping of this.#mappings) {
      for (const { relation: id, keyColumns } of mapping.dependencies) {
        if (id !== relation.id) continue
        const positions = keyColumns.map(name => relation.columns.findIndex(column => column.name === name))
        const told = positions.every(at => at >= 0 && (relation.identity === 'f' || relation.columns[at]!.identity))
        if (!told) problem = `${relation.schema}.${relation.name} is told without ${keyColumns.join(', ')}`
        targets.push({ prefix: `${mapping.keyspace}:`, key: mapping.key, positions })
      }
    }
    const wanted = relation.columns.map((_, at) => targets.some(target => target.positions.includes(at)))
    this.#relations.set(relation.id, { shape, wanted, targets, problem })
    if (targets.length === 0 || before === undefined) return
    this.#shapesChanged++
    this.#resetOpen(`${relation.schema}.${relation.name} was altered`)
  }

  #addChange(id: number, before: Tuple | undefined, after: Tuple | undefined, position: bigint): void {
    const open = this.#open
    const relation = this.#relations.get(id)
    if (open === undefined || open.reset !== undefined || relation === undefined) return
    if (relation.problem !== undefined) return this.#resetOpen(relation.problem)
    for (const target of relation.targets) {
      if (before !== undefined) this.#addKey(open, target, before, position)
      if (after !== undefined) this.#addKey(open, target, after, position, before)
    }
    if (open.changes.size > this.#keysMax) this.#resetOpen(`a transaction changed more than ${this.#keysMax} keys`)
  }

  #addKey(open: OpenTransaction, target: Target, row: Tuple, position: bigint, before?: Tuple): void {
    const cells: (string | null)[] = []
    for (const at of target.positions) {
      // Unchanged and kept elsewhere: as in the row before.
      const cell = row[at] === undefined ? before?.[at] : row[at]
      if (cell === undefined) return this.#resetOpen('a key was told in part')
      cells.push(cell)
    }
    const id = formatKey(target.key, cells)
    // Rows without a key are no rows of the keyspace.
    if (id !== undefined) open.changes.set(target.prefix + id, position)
  }
}
