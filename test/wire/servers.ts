// The kinds of servers that recordings are made from and played against: how redis-server is started, and with which settings
// Tidemark. A section names its kind after `@`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { startAdmin } from '../../src/admin/http.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { type RunningServer, startServer } from '../../src/server/supervisor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { testSettings } from '../server/served-scene.ts'

interface Kind {
  readonly redis: readonly string[]
  /** `folder` is empty, and removed afterwards. */
  readonly tidemark: (folder: string) => Partial<ServerSettings>
}

const kinds: Readonly<Record<string, Kind>> = {
  plain: { redis: [], tidemark: () => ({}) },
  locked: { redis: ['--requirepass', 'secret'], tidemark: () => ({ requirepass: 'secret' }) },
  debug: { redis: ['--enable-debug-command', 'yes'], tidemark: () => ({ debugCommand: 'yes' }) },
  snapshot: { redis: [], tidemark: folder => ({ snapshot: { file: join(folder, 'snapshot'), everyMs: 0 } }) },
}

function kindOf(name: string): Kind {
  const kind = kinds[name]
  if (kind === undefined) throw new Error(`@ ${name}: there are ${Object.keys(kinds).join(', ')}`)
  return kind
}

/** `unknown` where none is installed. */
export function installedRedisVersion(): string {
  return /v=(\S+)/.exec(String(spawnSync('redis-server', ['--version']).stdout))?.[1] ?? 'unknown'
}

/** Servers that are started when first asked for, and stopped together. */
export class Servers {
  readonly #redis = new Map<string, Promise<RedisServer>>()
  readonly #folders: string[] = []
  readonly #tidemark = new Map<string, Promise<RunningServer>>()

  async redis(kind: string): Promise<number> {
    let server = this.#redis.get(kind)
    if (server === undefined) {
      server = startRedis(kindOf(kind).redis).then(found => {
        if (found === undefined) throw new Error('redis-server is not installed')
        return found
      })
      this.#redis.set(kind, server)
    }
    return (await server).port
  }

  async tidemark(kind: string, threads: number): Promise<number> {
    const name = `${kind} ${threads}`
    let server = this.#tidemark.get(name)
    if (server === undefined) {
      const folder = mkdtempSync(join(tmpdir(), 'tidemark-wire-'))
      this.#folders.push(folder)
      const settings = testSettings({ threads, connectionsMax: 10_000, ...kindOf(kind).tidemark(folder) })
      server = startServer(settings, { clock: systemClock(), log: () => {}, startAdmin })
      this.#tidemark.set(name, server)
    }
    return (await server).port
  }

  async stop(): Promise<void> {
    for (const server of this.#redis.values()) await (await server).stop()
    for (const server of this.#tidemark.values()) await (await server).stop()
    for (const folder of this.#folders) rmSync(folder, { recursive: true })
  }
}
