// Puts a mutation's text in the place of the product's as modules are loaded. To be called before anything of the product
// that it changes is imported.
import assert from 'node:assert/strict'
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import type { Mutation } from './mutations.ts'

const src = pathToFileURL(`${resolve(import.meta.dirname, '../../src')}/`).href

/** Returns a function that fails unless all of the mutation has been loaded by then. */
export function mutate(name: string, { patches }: Mutation): () => void {
  const applied = new Set<number>()
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const its = [...patches.entries()].filter(([, { file }]) => url === src + file)
      if (its.length === 0) return loaded
      let text = typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString()
      for (const [index, { file, find, replace }] of its) {
        const times = text.split(find).length - 1
        assert.equal(times, 1, `mutation '${name}': src/${file} has ${times} times: ${find}`)
        text = text.replace(find, () => replace)
        applied.add(index)
      }
      return { ...loaded, source: text }
    },
  })
  return () => assert.equal(applied.size, patches.length, `mutation '${name}': src/${patches[0]!.file} was not loaded, or too early`) // prettier-ignore
}
