// A server thread's requests for a snapshot, to the supervisor and back. Not for: writing one (snapshots.ts).
import { TidemarkError, type ErrorCode } from '../base/errors.ts'
import type { SnapshotAnswer, SnapshotRequest } from './snapshots.ts'

export type SnapshotReply = SnapshotAnswer | { readonly code: ErrorCode; readonly message: string }

export class SnapshotRequests {
  readonly #send: (id: number, request: SnapshotRequest) => void
  readonly #waiting = new Map<number, PromiseWithResolvers<SnapshotAnswer>>()
  #latestId = 0

  constructor(send: (id: number, request: SnapshotRequest) => void) {
    this.#send = send
  }

  /** Rejects with SNAPSHOT_OFF or SNAPSHOT_FAILED. */
  ask(request: SnapshotRequest): Promise<SnapshotAnswer> {
    const id = ++this.#latestId
    const waiting = Promise.withResolvers<SnapshotAnswer>()
    this.#waiting.set(id, waiting)
    this.#send(id, request)
    return waiting.promise
  }

  answered(id: number, reply: SnapshotReply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (typeof reply === 'string') waiting?.resolve(reply)
    else waiting?.reject(TidemarkError.fromJSON(reply))
  }
}
