// A process of its own that writes rows through Tidemark at a given rate, as far as it can: `node writer-main.ts PLAN`, PLAN
// being JSON. It says 'ready', begins when it is sent a line, and prints what it has written as JSON.
import { once } from 'node:events'
import { TideNode, type NodePlace } from './node.ts'

export interface WriterPlan {
  readonly place: NodePlace
  readonly rows: number
  readonly writesPerSecond: number
  readonly seconds: number
}

export interface WriterReport {
  readonly writes: number
  readonly seconds: number
}

const WRITERS = 32

async function write(node: TideNode, { rows, writesPerSecond, seconds }: WriterPlan): Promise<WriterReport> {
  const begunMs = performance.now()
  const untilMs = begunMs + seconds * 1_000
  let writes = 0
  let begun = 0
  const writer = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const dueMs = begunMs + (begun++ / writesPerSecond) * 1_000
      const earlyMs = dueMs - performance.now()
      if (earlyMs > 1) await new Promise(resolve => setTimeout(resolve, earlyMs))
      await node.set(1 + Math.floor(Math.random() * rows), 'written by the load', writes)
      writes++
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, writer))
  return { writes, seconds: (performance.now() - begunMs) / 1_000 }
}

const plan = JSON.parse(process.argv[2]!) as WriterPlan
const node = await TideNode.open(plan.place)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
const report = await write(node, plan)
process.stdout.write(JSON.stringify(report))
process.stdin.destroy()
await node.close()
