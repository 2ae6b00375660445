// Writes the replies of the installed redis-server into recordings/: `npm run record:wire`, or with the names of some files.
// Requests, comments, patterns and what Tidemark replies stay as they are. Fails where a pattern does not hold, or where
// what is sent again never gets the reply it waits for.
import { readFileSync, writeFileSync } from 'node:fs'
import { type Heard, Player } from './player.ts'
import { type Recording, type Resp, fileOf, parseRecording, printRecording, readRecordings } from './recording.ts'
import { Servers, installedRedisVersion } from './servers.ts'

function keep(resp: Resp, { step, came, expected, holds }: Heard): void {
  if (holds) return
  if (expected?.isPattern === true || step.kind === 'ask-until') {
    throw new Error(`line ${step.line}: ${JSON.stringify(came)} is not ${expected?.text}`)
  }
  step.redis = { ...step.redis, [resp]: { text: came, isPattern: false } }
}

async function record(recording: Recording, servers: Servers): Promise<void> {
  for (const section of recording.sections) {
    for (const resp of [2, 3] as const) {
      const port = await servers.redis(section.servers)
      await Player.play(section, { port, resp, ours: false }, heard => keep(resp, heard)).catch((error: Error) => {
        throw new Error(`${recording.name}.txt, RESP${resp}, ${section.title}: ${error.message}`, { cause: error })
      })
    }
  }
}

const servers = new Servers()
try {
  const asked = process.argv.slice(2)
  const all = asked.length === 0 ? readRecordings() : asked.map(name => parseRecording(name, readFileSync(fileOf(name), 'utf8'))) // prettier-ignore
  for (const recording of all) {
    await record(recording, servers)
    writeFileSync(fileOf(recording.name), printRecording(recording, installedRedisVersion()))
  }
  console.log(`${all.length} files recorded from redis-server ${installedRedisVersion()}`)
} finally {
  await servers.stop()
}
