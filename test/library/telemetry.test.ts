// Events, diagnostics channels, spans and metrics: what is told of loads, writes and hits, by the SDK of OpenTelemetry itself.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as api from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { createTidemark, type TidemarkEvents } from '../../src/index.ts'

const values = new Map([['a', 1]])
const source = {
  load: (ids: readonly string[]): Map<string, number> => {
    if (ids.includes('bad')) throw new Error('no')
    return new Map(ids.flatMap(id => (values.has(id) ? [[id, values.get(id)!] as const] : [])))
  },
  store: (): void => {},
}

describe('what the library tells', () => {
  test('events, in the order of what happens', async () => {
    await using tide = await createTidemark()
    const told: string[] = []
    const names = ['hit', 'miss', 'load', 'fill', 'write', 'invalidate'] as const
    const ends = names.map(name => tide.on(name, event => told.push(`${name} ${JSON.stringify(keysOf(event))}`)))
    const numbers = tide.keyspace<number>('numbers', { source })
    await numbers.get('a')
    await numbers.get('a')
    await numbers.set('b', 2)
    await numbers.invalidate('a')
    assert.deepEqual(told, [
      'load ["a"]',
      'fill "a"',
      'miss "a"',
      'hit "a"',
      'fill "b"',
      'write ["b"]',
      'invalidate ["a"]',
    ])
    for (const end of ends) end()
    await numbers.get('a')
    assert.equal(told.length, 7)
  })

  test('a failed load says so, and a listener that throws holds up nobody', async () => {
    await using tide = await createTidemark()
    const errors: unknown[] = []
    const loads: TidemarkEvents['load'][] = []
    tide.on('error', ({ error }) => errors.push(error))
    tide.on('load', event => {
      loads.push(event)
      throw new Error('of the listener')
    })
    const numbers = tide.keyspace<number>('numbers', { source })
    await assert.rejects(numbers.get('bad'), /no/)
    assert.equal((loads[0]!.error as Error).message, 'no')
    assert.match(String(errors[0]), /of the listener/)
  })

  test('diagnostics channels have the same events', async () => {
    const seen: unknown[] = []
    const listen = (message: unknown): void => void seen.push(message)
    subscribe('tidemark.miss', listen)
    try {
      await using tide = await createTidemark()
      await tide.keyspace<number>('numbers', { source }).get('a')
      assert.deepEqual(seen, [{ keyspace: 'numbers', key: 'a' }])
    } finally {
      unsubscribe('tidemark.miss', listen)
    }
  })
})

function keysOf(event: object): unknown {
  return 'key' in event ? event.key : 'keys' in event ? event.keys : undefined
}

describe('OpenTelemetry', () => {
  test('spans of calls to the source, the counters of keyspaces, and what waits behind', async t => {
    const directory = mkdtempSync(join(tmpdir(), 'tidemark-telemetry-'))
    t.after(() => rmSync(directory, { recursive: true, force: true }))
    const spans = new InMemorySpanExporter()
    const tracers = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] })
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
    const meters = new MeterProvider({ readers: [reader] })
    api.trace.setGlobalTracerProvider(tracers)
    api.metrics.setGlobalMeterProvider(meters)
    try {
      await using tide = await createTidemark({ journal: { directory } })
      const numbers = tide.keyspace<number>('numbers', { source })
      await numbers.get('a')
      await numbers.get('a')
      await assert.rejects(numbers.get('bad'))
      await numbers.set('a', 2)
      const told = spans.getFinishedSpans().map(span => {
        return [span.name, span.attributes['tidemark.keyspace'], span.attributes['tidemark.keys'], span.status.code]
      })
      const { OK: _, UNSET, ERROR } = api.SpanStatusCode
      assert.deepEqual(told, [
        ['tidemark.load', 'numbers', 1, UNSET],
        ['tidemark.load', 'numbers', 1, ERROR],
        ['tidemark.write', 'numbers', 1, UNSET],
      ])
      const taken = Promise.withResolvers<void>()
      const behind = tide.keyspace<number>('behind', {
        source: { ...source, store: () => taken.promise },
        write: 'behind',
      })
      await Promise.all(['x', 'y', 'x'].map((key, i) => behind.set(key, i)))
      await reader.forceFlush()
      taken.resolve()
      const collected = metrics
        .getMetrics()
        .at(-1)!
        .scopeMetrics.flatMap(scope => scope.metrics)
      const valueOf = (name: string): unknown =>
        collected.find(metric => metric.descriptor.name === name)?.dataPoints[0]?.value
      assert.equal(valueOf('tidemark.hits'), 1)
      assert.equal(valueOf('tidemark.misses'), 2)
      assert.equal(valueOf('tidemark.load_errors'), 1)
      assert.equal(valueOf('tidemark.writes'), 1)
      assert.equal(valueOf('tidemark.entries'), 1)
      assert.equal(valueOf('tidemark.undecodable'), 0)
      const pending = collected.find(metric => metric.descriptor.name === 'tidemark.behind.pending')!.dataPoints
      // Keyspaces that write through have nothing behind.
      assert.deepEqual(
        pending.map(({ attributes, value }) => [attributes['tidemark.keyspace'], value]),
        [['behind', 2]],
      )
      const oldest = valueOf('tidemark.behind.oldest') as number
      assert.ok(oldest >= 0 && oldest < 60, `${oldest} s`)
      const durations = collected.find(metric => metric.descriptor.name === 'tidemark.load.duration')!
      assert.equal(durations.dataPoints.length, 2)
    } finally {
      api.trace.disable()
      api.metrics.disable()
      await meters.shutdown()
      await tracers.shutdown()
    }
  })
})
