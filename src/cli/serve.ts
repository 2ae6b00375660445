// The verb `serve`: flags, configuration and databases that are not there yet, then the server, until Ctrl-C.
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { startAdmin } from '../admin/http.ts'
import { systemClock } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { createDatabase } from '../config/create-database.ts'
import { findConfig, loadConfig } from '../config/load.ts'
import { makeFolder } from '../config/make-folder.ts'
import { resolveSettings } from '../config/resolve.ts'
import type { Resolved } from '../config/resolve.ts'
import type { DatabaseSetup } from '../config/resolve-databases.ts'
import type { ServerSettings } from '../server/settings.ts'
import { type RunningServer, startServer } from '../server/supervisor.ts'
import { parseServeFlags } from './flags.ts'
import { serveHelp } from './help.ts'
import { Progress } from './progress.ts'
import { StopSignal } from './stop-signal.ts'
import { exitCodes } from './terminal.ts'
import type { Terminal } from './terminal.ts'
import { welcome } from './welcome.ts'

/** A snapshot that is loaded within this shows no progress. */
const quietLoadMs = 500

/** Resolves with the exit code once the server has closed; rejects with a TidemarkError when it could not start. */
export async function runServe(args: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, help, mistakes } = parseServeFlags(args)
  if (help) {
    terminal.stdout.write(serveHelp())
    return exitCodes.done
  }
  if (mistakes.length > 0) {
    for (const mistake of mistakes) terminal.stderr.write(`tidemark: ${mistake}\n`)
    terminal.stderr.write('See tidemark help serve.\n')
    return exitCodes.usage
  }
  const clock = systemClock()
  const stop = new StopSignal(terminal, clock)
  try {
    const configFile = findConfig(flags.get('config') ?? (terminal.env['TIDEMARK_CONFIG'] || undefined), terminal.cwd())
    const resolved = await readConfiguration(configFile, flags, terminal)
    makeDataFolder(resolved.settings.dataFolder)
    return await serveUntilStopped(resolved, configFile, terminal, clock, stop)
  } finally {
    stop.close()
  }
}

async function readConfiguration(
  configFile: string | undefined,
  flags: ReadonlyMap<string, string>,
  terminal: Terminal,
): Promise<Resolved> {
  const file = configFile === undefined ? undefined : await loadConfig(configFile)
  return resolveSettings({
    file,
    environment: terminal.env,
    flags,
    folder: terminal.cwd(),
    cores: availableParallelism(),
  })
}

function makeDataFolder(folder: string | undefined): void {
  if (folder === undefined) return
  try {
    makeFolder(folder)
  } catch (thrown) {
    throw new TidemarkError('DATA_UNWRITABLE', `--data: cannot make ${folder}: ${messageOf(thrown)}`, { cause: thrown })
  }
}

async function create(setup: DatabaseSetup, terminal: Terminal, clock: Clock, signal: AbortSignal): Promise<void> {
  const progress = new Progress(terminal.stdout, clock, `Creating ${basename(setup.file)}`)
  try {
    await createDatabase(setup, { signal, progress: (done, total, what) => progress.update(done, total, what) })
  } finally {
    progress.close()
  }
}

/** undefined: Ctrl-C came before the server was up. */
async function start(
  { settings, setups }: Resolved,
  terminal: Terminal,
  clock: Clock,
  log: (line: string) => void,
  stop: StopSignal,
): Promise<RunningServer | undefined> {
  const progress = new Progress(terminal.stdout, clock, `Loading ${basename(settings.snapshot?.file ?? '')}`)
  const startedMs = clock.monotonicMs()
  // Nobody wants to see the progress of what takes no time.
  const loadProgress = (done: number, total: number): void => {
    if (clock.monotonicMs() - startedMs >= quietLoadMs) progress.update(done, total, 'keys')
  }
  const prepare = async (): Promise<void> => {
    for (const setup of setups) await create(setup, terminal, clock, stop.signal)
  }
  try {
    return await startServer(settings, { clock, log, startAdmin, prepare, loadProgress, signal: stop.signal })
  } catch (thrown) {
    if (thrown === stop.signal.reason) return undefined
    throw thrown
  } finally {
    progress.close()
  }
}

async function serveUntilStopped(
  resolved: Resolved,
  configFile: string | undefined,
  terminal: Terminal,
  clock: Clock,
  stop: StopSignal,
): Promise<number> {
  const log = (line: string): void => void terminal.stderr.write(`${line}\n`)
  if (stop.signal.aborted) return exitCodes.done
  let server: RunningServer | undefined
  // Without a listener the signal would end the process.
  const snapshot = (): void => void snapshotBySignal(server, log)
  terminal.on('SIGUSR2', snapshot)
  try {
    server = await start(resolved, terminal, clock, log, stop)
    if (server === undefined) return exitCodes.done
    return await closeWhenStopped(server, terminal, stop, resolved.settings, configFile)
  } finally {
    terminal.off('SIGUSR2', snapshot)
  }
}

async function snapshotBySignal(server: RunningServer | undefined, log: (line: string) => void): Promise<void> {
  try {
    if (server === undefined) log('no snapshot was begun: the server is starting')
    else log((await server.snapshot()) === 'busy' ? 'a snapshot is being written already' : 'a snapshot was begun')
  } catch (thrown) {
    log(`no snapshot was begun: ${messageOf(thrown)}`)
  }
}

async function closeWhenStopped(
  server: RunningServer,
  terminal: Terminal,
  stop: StopSignal,
  settings: ServerSettings,
  configFile: string | undefined,
): Promise<number> {
  if (!stop.signal.aborted) terminal.stdout.write(welcome({ server, settings, configFile }))
  const failure = await Promise.race([stop.received(), server.failed])
  // It has been logged, and everything is closed.
  if (failure !== undefined) return exitCodes.failure
  terminal.stdout.write('\nClosing: requests under way are finished first. Ctrl-C again exits at once.\n')
  await server.stop()
  terminal.stdout.write('Closed.\n')
  return exitCodes.done
}
