// One thread of store.test.ts that runs the handlers of commands, as a server thread does, without a socket between: threads meet in
// the handlers a thousand times more often than over the wire. Runs in a worker and posts its columns.
import { parentPort, workerData } from 'node:worker_threads'
import { Store } from '../../src/store/store.ts'
import { CommandRunner } from '../support/call.ts'
import { NOTHING, numberIn, Recording, storeKinds, TORN, VALUE_BYTES_MAX, writeValue } from './recording.ts'
import type { Columns, ThreadLoad } from './recording.ts'
import type { Kind } from './register.ts'

/** On even keys there are long values, on odd keys numbers. */
const VALUES = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5]
const NUMBERS = [0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6]
const CR = 0x0d
const COLON = 0x3a
const DOLLAR = 0x24

class CommandClient {
  readonly #runner: CommandRunner
  readonly #value = Buffer.alloc(VALUE_BYTES_MAX)

  constructor({ shared, thread }: ThreadLoad) {
    this.#runner = new CommandRunner(Store.attach(shared, thread))
  }

  async run(kind: Kind, key: number, argument: number): Promise<number> {
    const name = `hot:${key}`
    const numbers = key % 2 === 1
    const value = (): Buffer =>
      numbers ? Buffer.from(String(argument)) : this.#value.subarray(0, writeValue(this.#value, argument))
    const takesValue = kind === 'set' || kind === 'setnx' || kind === 'getset'
    const reply = await this.#runner.raw(kind, name, ...(takesValue ? [value()] : []))
    if (reply[0] === COLON) return Number(reply.toString('latin1', 1, reply.indexOf(CR)))
    if (reply[0] !== DOLLAR) {
      if (kind === 'set' && reply.toString() === '+OK\r\n') return NOTHING
      // What INCR found is no number.
      if (kind === 'incr' && reply.toString().startsWith('-ERR value is not an integer')) return TORN
      throw new Error(`${kind} gave ${reply.toString('latin1', 0, 100)}`)
    }
    const start = reply.indexOf(CR) + 2
    if (reply[1] === 0x2d) return NOTHING
    return numbers ? Number(reply.toString('latin1', start)) : numberIn(reply, start, reply.length - 2)
  }
}

async function run(load: ThreadLoad): Promise<Columns> {
  const client = new CommandClient(load)
  const recording = new Recording(load, key => (key % 2 === 0 ? VALUES : NUMBERS))
  recording.begin()
  while (recording.call()) {
    const { kind, key, argument } = recording
    recording.respond(await client.run(storeKinds[kind]!, key, argument))
  }
  return recording.columns
}

if (parentPort !== null) parentPort.postMessage(await run(workerData as ThreadLoad))
