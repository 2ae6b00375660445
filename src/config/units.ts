// Sizes and durations as people write them: `256mb`, `1gb`, `500ms`, `10s`. Sizes count in 1024s, as Redis' `mb` does;
// Redis' own `m` for 1000s is refused, for nobody remembers which is which. A duration has a unit, always (but for 0).

export type Size = number | `${number}${'b' | 'kb' | 'mb' | 'gb'}`
export type Duration = 0 | `${number}${'ms' | 's' | 'm' | 'h'}`

const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1024],
  ['mb', 1024 ** 2],
  ['gb', 1024 ** 3],
])

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
])

function quantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const match = /^(\d{1,16}(?:\.\d{1,9})?)([a-z]*)$/.exec(text.trim().toLowerCase())
  const unit = units.get(match?.[2] ?? '-')
  if (match === null || unit === undefined) return undefined
  const value = Number(match[1]) * unit
  return Number.isSafeInteger(value) ? value : undefined
}

/** Bytes, or undefined when `text` is not a whole number of bytes. */
export function parseSize(text: string): number | undefined {
  return quantity(text, sizeUnits)
}

/** Milliseconds, or undefined when `text` is not a whole number of milliseconds with its unit. */
export function parseDuration(text: string): number | undefined {
  return text.trim() === '0' ? 0 : quantity(text, durationUnits)
}

function inLargestUnit(value: number, units: ReadonlyMap<string, number>): string {
  let [best, bestSize] = ['', 0]
  for (const [unit, size] of units)
    if (size >= bestSize && value % size === 0 && value >= size) [best, bestSize] = [unit, size]
  return `${value / (bestSize || 1)}${best}`
}

/** In the largest unit that needs no fraction: `256mb`. parseSize reads it back. */
export function formatSize(bytes: number): string {
  return inLargestUnit(bytes, sizeUnits)
}

/** In the largest unit that needs no fraction: `500ms`. parseDuration reads it back. */
export function formatDuration(ms: number): string {
  return inLargestUnit(ms, durationUnits)
}
