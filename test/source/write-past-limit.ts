// A process of its own for a test: writes a small row, one that is larger than the process may make files, and a small
// one again, and prints how each went. Not a test itself.
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { SqliteSource } from '../../src/source/sqlite-source.ts'
import { codeOf, update, writeOne } from './fixture.ts'

const source = await SqliteSource.open({
  name: 'main',
  file: process.argv[2]!,
  busyTimeoutMs: 1000,
  pollMs: 25,
  keyspaces: [{ name: 'cities', table: 'cities' }],
  clock: systemClock(),
  random: systemRandom(),
})
const sizes = [10, 8_000_000, 10]
for (const [i, size] of sizes.entries()) {
  console.log(await codeOf(writeOne(source, `cities:${i + 1}`, update({ name: 'x', flag: Buffer.alloc(size) }))))
}
await source.close()
