// A connection to the database that comes again by itself. A statement whose answer does not come because the connection broke
// is over: it was committed, or never will be.
// Not for: what the product does with the database (src/source).
import pg from 'pg'
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'

export interface SqlLineOptions {
  readonly url: string
  readonly clock: Clock
  /** Once true, nobody tries to connect any more. */
  readonly stopped: () => boolean
}

const RETRY_MS = 100

export class SqlLine {
  readonly #url: string
  readonly #clock: Clock
  readonly #stopped: () => boolean
  #client: pg.Client | undefined

  constructor({ url, clock, stopped }: SqlLineOptions) {
    this.#url = url
    this.#clock = clock
    this.#stopped = stopped
  }

  /** undefined: the connection is gone, or the statement was refused. */
  async query<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[] | undefined> {
    const client = await this.#open()
    if (client === undefined) return undefined
    try {
      return (await client.query<Row>(sql, [...values])).rows
    } catch {
      // A transaction that is open in it ends with the connection.
      this.close()
      return undefined
    }
  }

  async #open(): Promise<pg.Client | undefined> {
    while (this.#client === undefined) {
      const client = new pg.Client({ connectionString: this.#url })
      client.on('error', () => {})
      try {
        await client.connect()
        this.#client = client
      } catch {
        if (this.#stopped()) return undefined
        await sleep(this.#clock, RETRY_MS)
      }
    }
    return this.#client
  }

  close(): void {
    const client = this.#client
    this.#client = undefined
    client?.end().catch(() => {})
  }
}
