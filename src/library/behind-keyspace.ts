// A keyspace that writes behind, opened: the journal, the source behind it, and in front of both lanes of this process's own,
// whatever tier there is: what processes share is what the source has.
// Opened by the first call, and before one where the source is there already, so that what the last run left is sent.
import { TidemarkError } from '../base/errors.ts'
import type { Encryption } from '../codec/encryption.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { valueOf } from '../near/entry.ts'
import type { Source } from '../source/source.ts'
import { WriteValues, type KeyedWrite } from './behind-entry.ts'
import { BehindJournal } from './behind-journal.ts'
import type { ResolvedBehind } from './behind-options.ts'
import { BehindSource, type BehindStats } from './behind-source.ts'
import { Engine, type EngineParts } from './engine.ts'
import { openLogless } from './open-functions.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'
import type { ResolvedKeyspace } from './options.ts'
import { CheckedSource } from './schema.ts'
import { TableSource } from './table-source.ts'

export interface BehindKeyspaceParts extends OpenParts, EngineParts {
  readonly settings: ResolvedKeyspace
  readonly behind: ResolvedBehind
  readonly storage: JournalStorage
  readonly encryption: Encryption | undefined
  readonly range: LaneRange
  /** What is written to; closed by whoever opens it, after this. */
  readonly inner: () => Promise<Pick<OpenedSource, 'descriptions'> & { readonly source: Source<unknown> }>
}

interface Opened {
  readonly engine: Engine
  readonly source: BehindSource
}

export class BehindKeyspace {
  readonly #parts: BehindKeyspaceParts
  #opening: Promise<Opened> | undefined
  #opened: Opened | undefined
  #closed = false

  constructor(parts: BehindKeyspaceParts) {
    this.#parts = parts
  }

  /** Rejects as the journal and the source do; the next call tries again. */
  async open(): Promise<Engine> {
    return (await this.#open()).engine
  }

  /** Sends what the last run left, before anybody asks. */
  start(): void {
    const { events, settings } = this.#parts
    this.#open().catch((error: unknown) => {
      if (!this.#closed) events.emit('error', { keyspace: settings.name, error })
    })
  }

  /** See BehindSender.flush. */
  async flush(): Promise<void> {
    return (await this.#open()).source.flush()
  }

  /** undefined before it is open. */
  stats(): BehindStats | undefined {
    return this.#opened?.source.stats()
  }

  async close(): Promise<void> {
    this.#closed = true
    const opened = await this.#opening?.catch(() => undefined)
    await opened?.source.close()
  }

  #open(): Promise<Opened> {
    if (this.#opening !== undefined) return this.#opening
    if (this.#closed) return Promise.reject(new TidemarkError('SHUTTING_DOWN', 'the cache is closed'))
    const opening = this.#openNow()
    this.#opening = opening
    opening.catch(() => {
      this.#opening = undefined
    })
    return opening
  }

  async #openNow(): Promise<Opened> {
    const { settings, behind, encryption, clock, random, storage, inner } = this.#parts
    const { name, codec, compress } = settings
    const rows = settings.source instanceof TableSource
    const values = new WriteValues({ keyspace: name, rows, codec, compress, encryption })
    const { source, descriptions } = await inner()
    const check = ({ id, write }: KeyedWrite): void => {
      if (write.kind === 'set') values.decode(id, write.value)
    }
    const journal = await BehindJournal.open({ keyspace: name, settings: behind, clock, random, storage, check })
    this.#opened = this.#assemble(source, descriptions, journal, values)
    return this.#opened
  }

  #assemble(
    inner: Source<unknown>,
    descriptions: OpenedSource['descriptions'],
    journal: BehindJournal,
    values: WriteValues,
  ): Opened {
    const { settings, behind, clock, events, range } = this.#parts
    const { name, schema } = settings
    const tell = (error: unknown): void => events.emit('error', { keyspace: name, error })
    let source: BehindSource | undefined
    // Loads of the source are guarded, told of and counted; what waits is not the source's.
    const over = (guarded: Source<unknown>): Source<unknown> => {
      source = new BehindSource({
        keyspace: name,
        settings: behind,
        journal,
        clock,
        source: guarded,
        values,
        removes: settings.source instanceof TableSource || settings.source?.remove !== undefined,
        changed: ids => void engine.writer.invalidate(ids.map(id => `${name}:${id}`)).catch(tell),
        failed: tell,
        gaveUp: (key, payload, error) => this.#lost(key, payload, error),
      })
      return schema === undefined ? source : new CheckedSource(source, new Map([[name, schema]]))
    }
    const lanes = openLogless({ ...this.#parts, keyspace: name, source: inner, range })
    const engine: Engine = new Engine(
      { ...lanes, descriptions: descriptions.filter(each => each.name === name) },
      [settings],
      {
        ...this.#parts,
        over,
      },
    )
    return { engine, source: source! }
  }

  #lost(key: string, payload: unknown, error: TidemarkError): void {
    const { events, settings } = this.#parts
    // Nobody else has it any more.
    if (!events.has('error')) process.emitWarning(error)
    events.emit('error', {
      keyspace: settings.name,
      error,
      key,
      value: payload === undefined ? undefined : valueOf(payload),
    })
  }
}
