// Functions as a careful user writes them, over the service of function-store.ts: values are numbers; a call whose signal is
// aborted is given up, with its connection; and what an owner writes over a connection has no effect once the service has
// heard of him over a newer one. Not for: functions that heed nothing (function-store.ts).
import type { SourceFunctions } from '../../src/source/functions-source.ts'
import { PATIENCE_MS, type FunctionStore } from './function-store.ts'
import type { SimProcess } from './machine.ts'
import { Connection, type Network } from './network.ts'
import { valueOf } from './row.ts'
import type { Value } from './truth.ts'

type Rows = readonly (readonly [id: string, value: Value])[]

interface Wire {
  readonly connection: Connection
  readonly number: number
}

export class ServiceStore {
  readonly #store: FunctionStore
  readonly #network: Network
  /** By owner: the latest connection that was heard of. */
  readonly #heard = new Map<string, number>()
  #connections = 0

  constructor(store: FunctionStore, network: Network) {
    this.#store = store
    this.#network = network
  }

  /** `owner`: who it is that writes, however often his process begins anew; undefined: any number of them. */
  functions(
    process: SimProcess,
    owner: string | undefined,
  ): SourceFunctions<number> & Required<Pick<SourceFunctions<number>, 'store' | 'remove'>> {
    // prettier-ignore
    let reads: Wire | undefined
    let writes: Wire | undefined
    const change = async (rows: Rows, signal: AbortSignal): Promise<void> => {
      writes = this.#open(process, writes)
      const { connection, number } = writes
      const giveUp = (): void => connection.close('given up')
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        await connection.call<void>(PATIENCE_MS, (answer, refuse) => {
          const goesOn = (): boolean => owner === undefined || this.#heard.get(owner) === number
          if (owner !== undefined && (this.#heard.get(owner) ?? 0) < number) this.#heard.set(owner, number)
          if (goesOn()) this.#store.change(rows, answer, refuse, goesOn)
        })
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    }
    return {
      load: async ids => {
        reads = this.#open(process, reads)
        const rows = await reads.connection.call<Map<string, Uint8Array>>(PATIENCE_MS, (answer, refuse) =>
          this.#store.load(ids, answer, refuse),
        )
        return Array.from(rows, ([id, row]) => [id, valueOf(row)!] as const)
      },
      store: (entries, { signal }) => change([...entries], signal),
      remove: (ids, { signal }) => change(ids.map(id => [id, null] as const), signal), // prettier-ignore
    }
  }

  #open(process: SimProcess, wire: Wire | undefined): Wire {
    if (wire?.connection.open === true) return wire
    return { connection: new Connection(this.#network, process, this.#store.process), number: ++this.#connections }
  }
}
