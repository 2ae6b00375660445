// Rows and other keys of two servers that share a tier which is no plain cluster: one server with TLS, a user and a password; and
// a Tidemark server. Not for: clusters (grid.test.ts), what each tier promises (src/testing/tier-contract.ts).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { PostgresServer } from '../support/postgres.ts'
import { freePort, startRedis } from '../support/redis-server.ts'
import { ServeProcess } from '../support/serve-process.ts'
import { GridServer, within } from './grid-scene.ts'

const DEADLINE_MS = 30_000

describe('two servers', { concurrency: 1 }, () => {
  let postgres: PostgresServer | undefined
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-tiers-'))
  before(async () => {
    postgres = await PostgresServer.start()
  })
  after(async () => {
    await postgres?.close()
    rmSync(folder, { recursive: true })
  })

  async function start(t: TestContext, tier: readonly string[], database: string): Promise<GridServer[]> {
    const args = [`--source=${postgres!.url(database)}`, '--keyspace=users', '--threads=1', ...tier]
    const servers = await Promise.all([GridServer.start(args), GridServer.start(args)])
    t.after(async () => {
      await Promise.all(servers.map(server => server.stop()))
      // Slots are the server's, not the database's: the next test has one of the same name.
      await postgres!.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active')
    })
    return servers
  }

  async function fresh(servers: readonly GridServer[]): Promise<void> {
    for (const server of servers) {
      await within(
        DEADLINE_MS,
        'lanes are fresh',
        async () => (((await server.status())['age'] ?? 9999) as number) < 400,
      )
    }
  }

  async function share([a, b]: readonly GridServer[], database: string): Promise<void> {
    await fresh([a!, b!])
    assert.equal((await a!.read('users:1')).tier, 'source')
    assert.equal((await b!.read('users:1')).tier, 'tier')
    await within(DEADLINE_MS, 'the row is near', async () => (await b!.read('users:1')).tier === 'near')
    await postgres!.query("UPDATE users SET name = 'by SQL' WHERE id = 1", [], database)
    for (const server of [a!, b!]) {
      await within(DEADLINE_MS, 'it is seen', async () => (await server.read('users:1')).value!.includes('by SQL'))
    }
    assert.equal(await a!.client.command('HSET', 'users:1', 'name', 'through'), 0)
    assert.match((await a!.read('users:1')).value!, /through/)
    await within(DEADLINE_MS, 'it is seen', async () => (await b!.read('users:1')).value!.includes('through'))
    assert.equal(await a!.client.command('SET', 'plain', 'x'), 'OK')
    assert.equal(await b!.client.command('GET', 'plain'), 'x')
  }

  function database(): Promise<string> {
    return postgres!.createDatabase(
      "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ann')",
    )
  }

  test('share one with TLS, a user and a password, and will not talk to one that nobody vouches for', async t => {
    if (postgres === undefined) return t.skip('PostgreSQL is not installed')
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    const name = ['-subj', '/CN=tier', '-addext', 'subjectAltName=IP:127.0.0.1']
    const made = spawnSync('openssl', [...kind, ...name, '-keyout', key, '-out', certificate])
    assert.equal(made.status, 0, `openssl: ${made.error?.message ?? String(made.stderr)}`)
    const port = await freePort()
    const tls = ['--tls-port', `${port}`, '--tls-cert-file', certificate, '--tls-key-file', key]
    const user = ['--user', 'tide', 'on', '>secret', '~*', '&*', '+@all']
    const redis = await startRedis([...tls, '--tls-auth-clients', 'no', '--tls-ca-cert-file', certificate, ...user])
    if (redis === undefined) return t.skip('redis-server is not installed')
    t.after(() => redis.stop())
    const url = `valkeys://tide:secret@127.0.0.1:${port}`
    const shop = await database()
    await share(await start(t, [`--tier=${url}`, `--tier-ca=${certificate}`], shop), shop)
    const [distrustful] = await start(t, [`--tier=${url}`], shop)
    assert.match(distrustful!.process.stderr, /^tier: no server answers: .*self-signed certificate/m)
    assert.equal((await distrustful!.read('users:1')).tier, 'source')
    const { stdout, stderr } = distrustful!.process
    assert.doesNotMatch(stdout + stderr, /secret/)
  })

  test('share a Tidemark server, also after it was killed and started again', async t => {
    if (postgres === undefined) return t.skip('PostgreSQL is not installed')
    const port = await freePort()
    const serveTier = async (): Promise<ServeProcess> => {
      const tier = new ServeProcess([`--port=${port}`, '--tier-memory=16mb', '--threads=2'])
      t.after(() => tier.interrupt())
      await tier.ready()
      return tier
    }
    const tier = await serveTier()
    const name = await database()
    const servers = await start(t, [`--tier=tidemark://127.0.0.1:${port}`], name)
    await share(servers, name)
    tier.child.kill('SIGKILL')
    await tier.exited
    await postgres.query("UPDATE users SET name = 'meanwhile' WHERE id = 1", [], name)
    for (const server of servers) {
      await within(DEADLINE_MS, 'it is seen', async () => (await server.read('users:1')).value!.includes('meanwhile'))
    }
    await serveTier()
    await fresh(servers)
    for (const server of servers) {
      await within(DEADLINE_MS, 'the row is near', async () => (await server.read('users:1')).tier === 'near')
    }
  })
})
