// Makes a database that is not there yet, by the configuration's own `create`, so that a half-made one is never taken for a whole
// one: `create` works on a file of another name, which gets the real one when it is complete and on disk. A crash or Ctrl-C
// on the way leaves only the other file, and the next start removes that and begins again.
//
//   cities.db.creating-4711    while process 4711 makes it
//   cities.db                  once it is whole
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { makeFolder } from './make-folder.ts'
import type { DatabaseSetup } from './resolve-databases.ts'

export interface CreateReport {
  readonly progress: (done: number, total: number, what: string) => void
  readonly signal: AbortSignal
}

/** Makes the database if its file is not there. Resolves with what happened; rejects with a TidemarkError. */
export async function createDatabase(setup: DatabaseSetup, report: CreateReport): Promise<'was there' | 'created'> {
  const { name, file, create } = setup
  if (existsSync(file)) return 'was there'
  if (create === undefined) {
    const way = 'make it first, or give sqlite() a `create` function'
    throw new TidemarkError('SETUP_FAILED', `databases.${name}.file: there is no ${file}; ${way}`)
  }
  const temporary = `${file}.creating-${process.pid}`
  try {
    makeFolder(dirname(file))
    removeLeftovers(file)
    closeSync(openSync(temporary, 'wx'))
    rmSync(temporary)
  } catch (thrown) {
    const what = `databases.${name}.file: cannot write to ${dirname(file)}: ${messageOf(thrown)}; --data sets the folder`
    throw new TidemarkError('DATA_UNWRITABLE', what, { cause: thrown })
  }
  try {
    await create({ file: temporary, ...report })
    report.signal.throwIfAborted()
    checkComplete(name, temporary)
    publish(temporary, file)
    return 'created'
  } catch (thrown) {
    if (thrown instanceof TidemarkError) throw thrown
    const reason = report.signal.aborted ? 'it was interrupted; the next start begins again' : messageOf(thrown)
    throw new TidemarkError('SETUP_FAILED', `databases.${name}.create: ${reason}`, { cause: thrown })
  } finally {
    remove(temporary)
  }
}

// Those of processes that are gone. One that still runs may be making the same database: whoever is first publishes.
function removeLeftovers(file: string): void {
  const prefix = `${basename(file)}.creating-`
  for (const name of readdirSync(dirname(file))) {
    if (!name.startsWith(prefix)) continue
    const pid = Number.parseInt(name.slice(prefix.length), 10)
    if (pid === process.pid || !isRunning(pid)) rmSync(join(dirname(file), name), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}

// What SQLite keeps beside a database is part of it, and would be lost with the change of its name.
function checkComplete(name: string, temporary: string): void {
  if (!existsSync(temporary)) {
    const what = `databases.${name}.create: it returned without making the file that it was given`
    throw new TidemarkError('SETUP_FAILED', what)
  }
  for (const suffix of ['-wal', '-journal']) {
    if (!existsSync(temporary + suffix)) continue
    const what = `databases.${name}.create: it left the database open; close it before returning`
    throw new TidemarkError('SETUP_FAILED', what)
  }
}

function publish(temporary: string, file: string): void {
  sync(temporary, 'r+')
  try {
    // Unlike a rename, a link does not replace what another process has put there meanwhile.
    linkSync(temporary, file)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return
    renameSync(temporary, file)
  }
  // Windows cannot open a folder, and needs no such thing.
  if (process.platform !== 'win32') sync(dirname(file), 'r')
}

function sync(path: string, flags: 'r' | 'r+'): void {
  const handle = openSync(path, flags)
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

function remove(temporary: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(temporary + suffix, { force: true })
}
