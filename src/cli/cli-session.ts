// What one run of the command line client goes on with: a connection that is opened when needed, with password, protocol
// and database chosen as the flags say, and the formatting of what comes back.
import { ReplyError } from '../wire/reply.ts'
import type { Reply } from '../wire/reply.ts'
import type { CliFlags } from './cli-flags.ts'
import { Connection } from './connection.ts'
import { formatFor, formatReply } from './format-reply.ts'
import type { ReplyFormat } from './format-reply.ts'

/** Where the client reads and writes; `process` is one. */
export interface CliStreams {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean | undefined }
  readonly stderr: NodeJS.WritableStream
  /** REDISCLI_AUTH holds the password, so that it need not be on the command line. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

export class CliSession {
  readonly #flags: CliFlags
  readonly #streams: CliStreams
  readonly #format: ReplyFormat
  #connection: Connection | undefined
  #database: number

  constructor(flags: CliFlags, streams: CliStreams) {
    this.#flags = flags
    this.#streams = streams
    this.#format = flags.format ?? (streams.stdout.isTTY === true ? 'terminal' : 'raw')
    this.#database = flags.database
  }

  /** `127.0.0.1:6379[2]> `, without the database while it is 0. */
  get prompt(): string {
    if (this.#connection?.isOpen !== true) return 'not connected> '
    const { host, port } = this.#flags
    return `${host}:${port}${this.#database === 0 ? '' : `[${this.#database}]`}> `
  }

  /** Connects unless connected. Rejects with what to tell the user. */
  async open(): Promise<void> {
    if (this.#connection?.isOpen === true) return
    const { password = this.#streams.env?.['REDISCLI_AUTH'], resp } = this.#flags
    const connection = await Connection.connect(this.#flags, message => this.show(message))
    this.#connection = connection
    const greeting: string[][] = []
    if (password !== undefined && password !== '') greeting.push(['AUTH', password])
    if (resp === 3) greeting.push(['HELLO', '3'])
    if (this.#database !== 0) greeting.push(['SELECT', String(this.#database)])
    for (const request of greeting) {
      const reply = await connection.send(request)
      if (!(reply instanceof ReplyError)) continue
      connection.close()
      const hint = reply.code === 'NOAUTH' ? ' (give the password with -a or in REDISCLI_AUTH)' : ''
      throw new Error(`${this.#flags.host}:${this.#flags.port} answers ${request[0]} with: ${reply.message}${hint}`)
    }
  }

  /** Sends a command, connecting first if need be. */
  async send(args: readonly (string | Buffer)[]): Promise<Reply> {
    await this.open()
    const reply = await this.#connection!.send(args)
    const [name, database] = args
    if (String(name).toLowerCase() === 'select' && reply === 'OK') this.#database = Number(String(database))
    return reply
  }

  /** Prints the reply to a command, or a message (no command), in the format that the flags ask for. */
  show(reply: Reply, args: readonly (string | Buffer)[] = []): void {
    this.#streams.stdout.write(formatReply(reply, formatFor(args, this.#format)))
  }

  close(): void {
    this.#connection?.close()
  }
}
