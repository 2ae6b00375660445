// What a library process and the load say to each other: a line of JSON each, by the process' standard input and output.
// Not for: what either does with it (library-main.ts, library-process.ts).
import type { Row } from './history.ts'

/** Given to a library process as it is started. */
export interface LibrarySetup {
  readonly tier: readonly string[]
  readonly database: string
  readonly keys: number
  /** Of them, those that are there for good: the first ones. */
  readonly rows: number
  readonly seed: number
}

/** A write of a row that puts `writer` in it: the whole row, or by `update` of what is there. */
export interface LibraryWrite {
  readonly type: 'write'
  readonly number: number
  readonly key: number
  readonly writer: number
  readonly how: 'set' | 'update'
}

/** To a library process. Reading goes on until `rest`; a longer pause than 1 is so many times longer. */
export type LibraryOrder =
  { readonly type: 'read'; readonly slowness: number } | { readonly type: 'rest' } | LibraryWrite

/** One answer: of a key, and null where there is no such row. */
export interface LibraryAnswer {
  readonly key: number
  readonly row: Row | null
}

/** Answers of one kind of call. Times are monotonic ms, on the scale of all processes of the machine. */
export interface LibraryReads {
  readonly type: 'reads'
  readonly call: 'peek' | 'get' | 'read'
  readonly sentMs: number
  readonly receivedMs: number
  readonly answers: readonly LibraryAnswer[]
  /** Of `read`: what was asked for, and what the answer said of itself. */
  readonly asked?: {
    /** undefined: the keyspace's. */
    readonly boundMs: number | undefined
    readonly serve: boolean
    /** null: nobody knows. */
    readonly ageMs: number | null
    readonly tier: string
    readonly stale: boolean
    /** Of a session: the highest version that it had seen of the key before. */
    readonly before: number | undefined
  }
}

/** From a library process. */
export type LibraryReport =
  | { readonly type: 'ready' }
  | LibraryReads
  | { readonly type: 'written'; readonly number: number; readonly row: Row | null; readonly before: number | undefined }
  | { readonly type: 'refused'; readonly number: number; readonly error: string }
  /** A read was refused. `code` is undefined for what is no TidemarkError. */
  | { readonly type: 'error'; readonly code: string | undefined; readonly text: string }
