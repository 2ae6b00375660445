// Processor time that processes have used, user and system, from /proc, in steps of 10 ms.
import { readdir, readFile } from 'node:fs/promises'

const MS_PER_TICK = 10

interface Stat {
  readonly parent: number
  readonly ms: number
}

/** undefined when it is gone. */
async function statOf(pid: number | string): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The second field is the program's name in brackets, and may hold blanks; ppid is field 4, utime and stime 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(fields[1]), ms: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK }
}

/** Of all threads of a process. */
export async function processorMs(pid: number): Promise<number> {
  return (await statOf(pid))?.ms ?? 0
}

/** Of a process and the children that it has now. */
export async function familyMs(pid: number): Promise<number> {
  let sum = await processorMs(pid)
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await statOf(name)
    if (stat?.parent === pid) sum += stat.ms
  }
  return sum
}
