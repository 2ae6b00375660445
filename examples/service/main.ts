// Starts the service, and ends it in order: no new requests, those under way answered, then the cache and its database.
import { serve } from '@hono/node-server'
import { createTidemark } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'
import { openDatabase } from './database.ts'
import { service } from './service.ts'
import { User } from './user.ts'

const { PORT = '3000', DATABASE = 'service.db' } = process.env

const database = openDatabase(DATABASE)
const tide = await createTidemark({ near: { maxSize: '64mb' }, maxStaleness: '500ms' })
tide.on('error', ({ error }) => console.error(error))
const users = tide.keyspace('users', { source: sqlite(DATABASE).table('users'), schema: User })

const { fetch } = service({ tide, users, database })
const server = serve({ fetch, port: Number(PORT), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}`)
})

let closing = false

async function close(): Promise<void> {
  if (closing) return
  closing = true
  await new Promise(done => server.close(done))
  await tide.close()
  database.close()
}

process.on('SIGINT', () => void close())
process.on('SIGTERM', () => void close())
