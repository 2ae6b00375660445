// Spans and metrics of OpenTelemetry, where its API is installed: a span for each call to a source, under whatever span is
// active; the keyspaces' counters, and how long loads take. Without an SDK that collects them, the API throws all of it away.
// Not for: our own counters (stats.ts) and events.
import type { Stats } from './stats.ts'

/**
 * Of `@opentelemetry/api`, what is used. Not its own types: those who have not installed it could not compile ours.
 */
export interface TelemetryApi {
  readonly trace: { getTracer(name: string): Tracer }
  readonly metrics: { getMeter(name: string): Meter }
  readonly SpanKind: { readonly CLIENT: number }
  readonly SpanStatusCode: { readonly ERROR: number }
}

type Attributes = Record<string, string | number | boolean>

interface Span {
  setStatus(status: { code: number }): unknown
  recordException(error: Error): void
  end(): void
}

interface Tracer {
  startActiveSpan<T>(
    name: string,
    options: { kind: number; attributes: Attributes },
    call: (span: Span) => Promise<T>,
  ): Promise<T>
}

interface Histogram {
  record(value: number, attributes: Attributes): void
}

type ObservableCallback = (result: { observe(value: number, attributes: Attributes): void }) => void

interface Observable {
  addCallback(callback: ObservableCallback): void
  removeCallback(callback: ObservableCallback): void
}

interface MetricOptions {
  readonly description: string
  readonly unit?: string
}

interface Meter {
  createHistogram(name: string, options: MetricOptions): Histogram
  createObservableCounter(name: string, options: MetricOptions): Observable
  createObservableGauge(name: string, options: MetricOptions): Observable
}

const NAME = 'tidemark'

/** What a metric is of: `unit` as UCUM has it. */
const counters = {
  hits: 'Answers out of memory.',
  misses: 'Answers that were not in memory.',
  loads: 'Values loaded from the source.',
  loadErrors: 'Values that the source failed to give.',
  writes: 'Values written or removed through the cache.',
  stale: 'Answers older than their bound.',
  undecodable: 'Values of the tier that were of no use here.',
  unkept: 'Values that the tier did not keep.',
} as const satisfies Partial<Record<keyof Stats, string>>

export class Telemetry {
  readonly #api: TelemetryApi
  readonly #tracer: Tracer
  readonly #durations: Histogram
  readonly #unregister: (() => void)[] = []

  /** `stats` is asked for each keyspace's when metrics are collected. */
  constructor(api: TelemetryApi, stats: () => Iterable<readonly [keyspace: string, stats: Stats]>) {
    this.#api = api
    this.#tracer = api.trace.getTracer(NAME)
    const meter = api.metrics.getMeter(NAME)
    this.#durations = meter.createHistogram('tidemark.load.duration', {
      description: 'How long calls to load took.',
      unit: 's',
    })
    for (const [name, description] of Object.entries(counters)) {
      const counter = meter.createObservableCounter(`tidemark.${snake(name)}`, { description })
      this.#observe(counter, each => each[name as keyof typeof counters], stats)
    }
    const entries = meter.createObservableGauge('tidemark.entries', { description: 'Values in memory.' })
    this.#observe(entries, each => each.entries, stats)
    const pending = meter.createObservableGauge('tidemark.behind.pending', {
      description: 'Keys that were written behind and that the source does not have yet.',
    })
    this.#observe(pending, each => each.behind?.pending, stats)
    const oldest = meter.createObservableGauge('tidemark.behind.oldest', {
      description: 'For how long the oldest of these has waited.',
      unit: 's',
    })
    this.#observe(oldest, each => each.behind && each.behind.oldestPendingMs / 1_000, stats)
  }

  #observe(
    instrument: Observable,
    of: (stats: Stats) => number | undefined,
    stats: () => Iterable<readonly [string, Stats]>,
  ): void {
    const callback: ObservableCallback = result => {
      for (const [keyspace, each] of stats()) {
        const value = of(each)
        if (value !== undefined) result.observe(value, { 'tidemark.keyspace': keyspace })
      }
    }
    instrument.addCallback(callback)
    this.#unregister.push(() => instrument.removeCallback(callback))
  }

  /** Runs `call` in a span of its own, which ends with it. */
  span<T>(
    name: string,
    { keyspace, keys }: { readonly keyspace: string; readonly keys: number },
    call: () => Promise<T>,
  ): Promise<T> {
    const { SpanKind, SpanStatusCode } = this.#api
    const attributes = { 'tidemark.keyspace': keyspace, 'tidemark.keys': keys }
    return this.#tracer.startActiveSpan(name, { kind: SpanKind.CLIENT, attributes }, async span => {
      try {
        return await call()
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR })
        if (error instanceof Error) span.recordException(error)
        throw error
      } finally {
        span.end()
      }
    })
  }

  /** A call to load is over, after `ms`. */
  loaded(keyspace: string, ms: number, failed: boolean): void {
    this.#durations.record(ms / 1_000, { 'tidemark.keyspace': keyspace, 'tidemark.failed': failed })
  }

  /** No metrics are given after this. */
  close(): void {
    for (const unregister of this.#unregister) unregister()
  }
}

/** `loadErrors` as OpenTelemetry spells names: `load_errors`. */
function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}

/** The API, if it is installed. */
export async function importTelemetry(): Promise<TelemetryApi | undefined> {
  try {
    return await import('@opentelemetry/api')
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    return undefined
  }
}
