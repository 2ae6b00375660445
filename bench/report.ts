// How a run ends: what it says of itself below its figures, and the file of its samples. Not for: figures and bars (tables.ts).
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Machine } from './machine.ts'

export const smokeLine = 'Smoke size: the figures above say nothing about speed.'

export function loadLine([before, after]: readonly [before: number, after: number], { cores }: Machine): string {
  return `Load average ${before.toFixed(1)} before, ${after.toFixed(1)} after, on ${cores} cores`
}

/** Writes the file that `--json` names, and with `--save` bench/results/BENCHMARK-DATE-COMMIT.json; says which it wrote. */
export function writeReport(
  report: { readonly benchmark: string; readonly machine: Machine },
  { json, save }: { readonly json?: string | undefined; readonly save: boolean },
): void {
  const { benchmark, machine } = report
  const files = json === undefined ? [] : [json]
  if (save) {
    const folder = resolve(import.meta.dirname, 'results')
    mkdirSync(folder, { recursive: true })
    files.push(resolve(folder, `${benchmark}-${machine.at.slice(0, 10)}-${machine.commit}.json`))
  }
  for (const file of files) {
    writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`)
    console.log(`samples: ${file}`)
  }
}
