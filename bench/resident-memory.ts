// How much memory a process has, from /proc.
import { readFile } from 'node:fs/promises'

export interface ResidentMemory {
  /** Now, and the most that it ever was. */
  readonly bytes: number
  readonly bytesMost: number
}

export async function residentMemory(pid: number): Promise<ResidentMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024
  return { bytes: field('VmRSS'), bytesMost: field('VmHWM') }
}
