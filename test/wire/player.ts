// Plays a section of a recording against a server, Redis or Tidemark, and hands every message that comes to whoever
// compares or records. Not for: what the text of a recording means (recording.ts).
import type { Expected, Resp, Section, Step } from './recording.ts'
import { RawConnection } from '../support/raw-connection.ts'

const AGAIN_MAX = 2_000
const AGAIN_AFTER_MS = 2

export interface Heard {
  readonly step: Step
  /** The bytes that came, sorted where the step asks for that, or `closed`. */
  readonly came: string
  /** What the file expects of this server, if anything. */
  readonly expected: Expected | undefined
  /** True when it is that. */
  readonly holds: boolean
}

export interface Target {
  readonly port: number
  readonly resp: Resp
  /** True for Tidemark, whose replies may differ where the file says so. */
  readonly ours: boolean
}

export class Player {
  readonly #target: Target
  readonly #connections = new Map<string, RawConnection>()
  readonly #variables = new Map<string, string>()
  readonly #onHeard: (heard: Heard) => void

  private constructor(target: Target, onHeard: (heard: Heard) => void) {
    this.#target = target
    this.#onHeard = onHeard
  }

  /** Resolves once all steps are done and every connection has said all that it was to say. */
  static async play(section: Section, target: Target, onHeard: (heard: Heard) => void): Promise<void> {
    const control = await RawConnection.open(target.port)
    const player = new Player(target, onHeard)
    try {
      // Where no password is asked for, this is an error and does nothing.
      await control.line('AUTH secret')
      await alone(control)
      await control.line('FLUSHALL')
      for (const step of section.steps) await player.#step(step)
      await control.line('PING')
      for (const [name, connection] of player.#connections) {
        if (connection.unread > 0) throw new Error(`unasked for, at connection '${name}': ${await connection.next()}`)
      }
    } finally {
      for (const connection of player.#connections.values()) connection.close()
      control.close()
    }
  }

  async #connection(name: string): Promise<RawConnection> {
    let connection = this.#connections.get(name)
    if (connection === undefined) {
      connection = await RawConnection.open(this.#target.port)
      this.#connections.set(name, connection)
      if (this.#target.resp === 3) await connection.line('HELLO 3')
    }
    return connection
  }

  async #step(step: Step): Promise<void> {
    const connection = await this.#connection(step.connection)
    if (step.kind === 'close') return connection.close()
    const request = step.request.map(word => Buffer.from(this.#fill(word), 'latin1'))
    for (let again = 0; ; again++) {
      if (request.length > 0) connection.send(request)
      if (step.kind === 'send') return
      const came = await connection.next().catch((error: Error) => {
        throw new Error(`line ${step.line}: ${error.message}`, { cause: error })
      })
      const heard = this.#compare(step, step.inAnyOrder ? sorted(came) : came)
      if (step.kind !== 'ask-until' || heard.holds || again === AGAIN_MAX) return this.#onHeard(heard)
      await new Promise(resolve => setTimeout(resolve, AGAIN_AFTER_MS))
    }
  }

  #compare(step: Step, came: string): Heard {
    const { resp, ours } = this.#target
    const expected = (ours ? step.difference?.ours[resp] : undefined) ?? step.redis[resp]
    if (expected === undefined) return { step, came, expected, holds: false }
    const text = this.#fill(expected.text)
    if (!expected.isPattern) return { step, came, expected, holds: came === text }
    const match = new RegExp(text, 's').exec(came)
    for (const [name, value] of Object.entries(match?.groups ?? {})) this.#variables.set(name, value)
    return { step, came, expected, holds: match !== null }
  }

  #fill(text: string): string {
    return text.replace(/\$\{([a-z]+)\}/g, (whole, name: string) => this.#variables.get(name) ?? whole)
  }
}

/** Waits until the connections of earlier sections are gone: they would be listed, counted and told of channels. */
async function alone(control: RawConnection): Promise<void> {
  for (let again = 0; again < AGAIN_MAX; again++) {
    const list = await control.line('CLIENT LIST')
    if (list.split('id=').length === 2) return
    await new Promise(resolve => setTimeout(resolve, AGAIN_AFTER_MS))
  }
  throw new Error('connections of an earlier section are still there')
}

/** A reply with the elements of all its arrays and sets in the order of their bytes. */
export function sorted(reply: string): string {
  const [text, end] = sortedFrom(reply, 0)
  if (end !== reply.length) throw new Error('more than one reply')
  return text
}

function sortedFrom(reply: string, at: number): [text: string, end: number] {
  const line = reply.indexOf('\r\n', at) + 2
  const type = reply[at]!
  const length = Number(reply.slice(at + 1, line - 2))
  if ('$=!'.includes(type)) return length < 0 ? [reply.slice(at, line), line] : [reply.slice(at, line + length + 2), line + length + 2] // prettier-ignore
  if (!'*~>%'.includes(type)) return [reply.slice(at, line), line]
  const elements: string[] = []
  let end = line
  for (let i = 0; i < length * (type === '%' ? 2 : 1); i++) {
    const [text, next] = sortedFrom(reply, end)
    elements.push(text)
    end = next
  }
  if (type === '*' || type === '~') elements.sort()
  return [reply.slice(at, line) + elements.join(''), end]
}
