// The process of one measurement of the library's benchmark: takes a job as JSON, prints its figures as JSON.
import { measureJob } from './scenes.ts'
import type { Job } from './scenes.ts'

const job = JSON.parse(process.argv[2]!) as Job
process.stdout.write(`${JSON.stringify(await measureJob(job))}\n`)
