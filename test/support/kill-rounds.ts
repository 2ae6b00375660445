// The frame of rounds in which a real process is killed (SIGKILL) at some moment, again and again over the same directory.
// Not for: what the process does, and what has to be there after it (journal/kill-rounds.ts, library/behind/kill-rounds.ts).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, systemClock } from '../../src/base/clock.ts'

export interface KilledRounds<Report> {
  /** Throws when something is missing, or there that should not be. */
  round(last: boolean): Promise<void>
  report(): Report
}

/** Runs so many rounds over a new directory, which is removed at the end; throws at the first one that does. */
export async function runRounds<Report>(
  rounds: number,
  progress: (round: number) => void,
  begin: (directory: string) => KilledRounds<Report>,
): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-killed-'))
  try {
    const run = begin(directory)
    for (let round = 1; round <= rounds; round++) {
      await run.round(round === rounds)
      progress(round)
    }
    return run.report()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/**
 * Kills the program `afterMs` after it was ready by what it has said, whose first line is that it has begun. Returns the whole lines
 * that it said after that one.
 */
export async function linesUntilKilled(
  program: string,
  args: readonly string[],
  isReady: (said: string) => boolean,
  afterMs: () => number,
): Promise<readonly string[]> {
  const argv = ['--conditions=tidemark-source', program, ...args]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (_, signal) => resolve(signal))
  })
  let said = ''
  const ended = new Promise<void>(resolve => child.stdout.on('end', resolve))
  const ready = new Promise<void>(resolve => {
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      said += text
      if (isReady(said)) resolve()
    })
  })
  await Promise.race([ready, exit])
  await sleep(systemClock(), afterMs())
  child.kill('SIGKILL')
  assert.equal(await exit, 'SIGKILL', 'it lived until it was killed')
  await ended
  // What it was about to say when it was killed may be cut.
  return said.slice(0, said.lastIndexOf('\n')).split('\n').slice(1)
}
