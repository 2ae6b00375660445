#!/usr/bin/env node
// The `tidemark` command. Checks Node before anything else: what it imports then may use all that the oldest supported Node has,
// but this file has to be readable by older ones, so it is plain JavaScript and imports nothing by itself.
const nodeMajorMin = 24

if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
  process.stderr.write(
    `tidemark: NODE_TOO_OLD this is Node ${process.versions.node}, and Tidemark needs Node ${nodeMajorMin} or later: ` +
      'get it from https://nodejs.org, or with `nvm install --lts`\n',
  )
  process.exitCode = 1
} else {
  const { run } = await import('./run.ts')
  process.exitCode = await run(process.argv.slice(2), process)
}
