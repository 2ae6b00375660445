// The types of the library, as keyspaces.ts says that they are: the compiler takes that file as it stands, and finds a mistake at
// each line that is expected to be one, once it is not expected any more.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { UserProject } from '../support/user-project.ts'

const text = readFileSync(join(import.meta.dirname, 'keyspaces.ts'), 'utf8')
const otherSchema = text.replace('same<typeof users, Keyspace<User>>', 'same<typeof users, Keyspace<{ id: number }>>')
const files: Readonly<Record<string, string>> = {
  'as-it-stands.ts': text,
  'unexpected.ts': text.replaceAll('@ts-expect-error', 'wrong'),
  'other-schema.ts': otherSchema,
}

test('types are inferred as they should be, and each wrong line does not compile', t => {
  const project = new UserProject()
  t.after(() => project.close())
  for (const [file, source] of Object.entries(files)) project.write(file, source)
  const errors = project.compile(Object.keys(files))
  const linesOf = (file: string): number[] => [
    ...new Set(errors.filter(each => each.file === file).map(({ line }) => line)),
  ]
  assert.deepEqual(
    errors.filter(({ file }) => file === 'as-it-stands.ts'),
    [],
  )
  const wrong = text.split('\n').flatMap((line, at) => (line.includes('// @ts-expect-error') ? [at + 2] : []))
  assert.ok(wrong.length > 30, `${wrong.length} lines are expected to be wrong`)
  assert.deepEqual(linesOf('unexpected.ts'), wrong)
  assert.notEqual(otherSchema, text)
  assert.equal(linesOf('other-schema.ts').length, 1)
})
