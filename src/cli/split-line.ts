// A line typed at the prompt, as the arguments of a command: the quoting rules of inline requests, which are redis-cli's.
import { INLINE_ARGUMENT, INLINE_UNBALANCED, InlineSplitter } from '../wire/inline-splitter.ts'

/** The arguments of `line`, none if it is blank; undefined when a quote is not closed or not followed by a blank. */
export function splitLine(line: string): Buffer[] | undefined {
  const bytes = Buffer.from(line)
  const out = Buffer.alloc(bytes.length)
  const splitter = new InlineSplitter()
  splitter.begin(0)
  const found: Buffer[] = []
  for (;;) {
    const outcome = splitter.next(bytes, bytes.length, out)
    if (outcome === INLINE_UNBALANCED) return undefined
    if (outcome !== INLINE_ARGUMENT) return found
    found.push(out.subarray(splitter.start, splitter.end))
  }
}
