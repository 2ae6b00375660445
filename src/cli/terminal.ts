// What a verb gets from the process that it runs in: streams, environment, folder, signals. `process` is one.

export interface Terminal {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: Readonly<Record<string, string | undefined>>
  cwd(): string
  on(signal: 'SIGINT' | 'SIGTERM' | 'SIGUSR2', listener: () => void): unknown
  off(signal: 'SIGINT' | 'SIGTERM' | 'SIGUSR2', listener: () => void): unknown
  exit(code: number): void
}

/** Exit codes: a usage error is the command line's fault, a failure anything else's. */
export const exitCodes = { done: 0, failure: 1, usage: 2 } as const
