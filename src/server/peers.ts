// Questions between server threads, by way of the supervisor: one thread asks, all others answer, and it gets all answers
// at once. Used for what is rare (CLIENT LIST, CLIENT KILL), so it may be slow; it never goes wrong because a thread dies.
import type { PeerAnswer, PeerQuestion } from './commands/server-call.ts'
import type { FromThread, ToThread } from './thread-messages.ts'

/** The asking side, in a server thread. */
export class PeerQuestions {
  readonly #send: (message: FromThread) => void
  readonly #waiting = new Map<number, (answers: PeerAnswer) => void>()
  #latestId = 0

  constructor(send: (message: FromThread) => void) {
    this.#send = send
  }

  ask(question: PeerQuestion): Promise<PeerAnswer> {
    const id = ++this.#latestId
    this.#send({ kind: 'ask', id, question })
    return new Promise(resolve => {
      this.#waiting.set(id, resolve)
    })
  }

  answered(id: number, answers: PeerAnswer): void {
    this.#waiting.get(id)?.(answers)
    this.#waiting.delete(id)
  }
}

interface Round {
  readonly asker: number
  readonly askersId: number
  readonly missing: Set<number>
  readonly answers: string[]
}

/** The side of the supervisor, which knows the threads by number. */
export class PeerExchange {
  readonly #send: (thread: number, message: ToThread) => void
  readonly #rounds = new Map<number, Round>()
  #latestId = 0

  constructor(send: (thread: number, message: ToThread) => void) {
    this.#send = send
  }

  asked(asker: number, askersId: number, question: PeerQuestion, others: readonly number[]): void {
    const id = ++this.#latestId
    const round = { asker, askersId, missing: new Set(others), answers: [] }
    this.#rounds.set(id, round)
    for (const other of others) this.#send(other, { kind: 'question', id, question })
    this.#finishIfComplete(id, round)
  }

  answered(thread: number, id: number, answer: PeerAnswer): void {
    const round = this.#rounds.get(id)
    if (round === undefined || !round.missing.delete(thread)) return
    round.answers.push(...answer)
    this.#finishIfComplete(id, round)
  }

  /** A thread is gone: nobody waits for its answers, and its own questions are forgotten. */
  left(thread: number): void {
    for (const [id, round] of this.#rounds) {
      if (round.asker === thread) this.#rounds.delete(id)
      else if (round.missing.delete(thread)) this.#finishIfComplete(id, round)
    }
  }

  #finishIfComplete(id: number, round: Round): void {
    if (round.missing.size > 0) return
    this.#rounds.delete(id)
    this.#send(round.asker, { kind: 'answers', id: round.askersId, answers: round.answers })
  }
}
