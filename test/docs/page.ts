// A page of the documents, as a list of what it has its readers type and of what it says that comes of it. A fenced block of
// `console` has commands behind `$ ` and what they print, of `sh` commands alone, none of which may end in an error, of `sql`
// statements. In what is printed, `...` stands for anything up to the end of the line.
import assert from 'node:assert/strict'

export interface Step {
  readonly line: number
  readonly command: string
  /** undefined: anything but an error. */
  readonly output: string | undefined
  readonly language: 'sh' | 'console' | 'sql'
}

export interface Page {
  readonly config: string | undefined
  readonly steps: readonly Step[]
}

export function readPage(text: string): Page {
  const steps: Step[] = []
  let config: string | undefined
  for (const match of text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    const [, language, body] = match as unknown as [string, string, string]
    const firstLine = text.slice(0, match.index).split('\n').length + 1
    if (language === 'ts' && body.startsWith('// tidemark.config.ts\n')) config = body
    if (language === 'sh') {
      for (const [i, command] of body.trimEnd().split('\n').entries()) {
        steps.push({ line: firstLine + i, command, output: undefined, language })
      }
    }
    if (language === 'sql') steps.push({ line: firstLine, command: body, output: undefined, language })
    if (language === 'console') {
      for (const part of body.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)) {
        const line = firstLine + body.slice(0, part.index).split('\n').length - 1
        steps.push({ line, command: part[1]!, output: part[2]!.trimEnd(), language })
      }
    }
  }
  return { config, steps }
}

const literally = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

export function assertPrinted(step: Step, output: string, failed: boolean, page: string): void {
  const place = `${page}:${step.line} $ ${step.command}`
  if (step.output === undefined) {
    assert.ok(!failed && !/^\(error\)/m.test(output), `${place}\n${output}`)
    return
  }
  const lines = step.output.split('\n').map(line => line.split('...').map(literally).join('.*'))
  assert.match(output, new RegExp(`^${lines.join('\n')}$`), place)
}
