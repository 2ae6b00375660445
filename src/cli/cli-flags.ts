// The flags of `tidemark cli`. They end at the first word that is none: what follows is the command, dashes and all.
import type { ReplyFormat } from './format-reply.ts'

export interface CliFlags {
  readonly host: string
  readonly port: number
  readonly password: string | undefined
  readonly database: number
  readonly resp: 2 | 3
  /** Undefined: terminal or raw, by what stdout is. */
  readonly format: ReplyFormat | undefined
  readonly help: boolean
  readonly command: readonly string[]
}

const DATABASE_MAX = 0x7fffffff
const PORT_MAX = 65_535

/** The flags, or what is wrong with them in one line. */
export function parseCliFlags(args: readonly string[]): CliFlags | string {
  let host = '127.0.0.1'
  let port = 6379
  let password: string | undefined
  let database = 0
  let resp: 2 | 3 = 2
  let format: ReplyFormat | undefined
  let help = false
  let i = 0
  for (; i < args.length && args[i]!.startsWith('-'); i++) {
    const flag = args[i]!
    if (flag === '-3') resp = 3
    else if (flag === '--json') {
      format = 'json'
      resp = 3
    } else if (flag === '--raw') format = 'raw'
    else if (flag === '--no-raw') format = 'terminal'
    else if (flag === '--help') help = true
    else if (flag === '-h' || flag === '-p' || flag === '-a' || flag === '-n') {
      const value = args[++i]
      if (value === undefined) return `${flag} needs a value after it; see tidemark cli --help`
      if (flag === '-h') host = value
      else if (flag === '-a') password = value
      else {
        const max = flag === '-p' ? PORT_MAX : DATABASE_MAX
        const n = /^\d{1,10}$/.test(value) ? Number(value) : Infinity
        if (n > max) return `${flag} got ${JSON.stringify(value)}; it takes a whole number of at most ${max}`
        if (flag === '-p') port = n
        else database = n
      }
    } else return `there is no flag ${flag}; see tidemark cli --help`
  }
  return { host, port, password, database, resp, format, help, command: args.slice(i) }
}
