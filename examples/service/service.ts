// The service: routes over the cache. A route knows keyspaces and nothing of what stands behind them.
//
//   GET /users/:id   a row, from memory as long as it is proved to be fresh
//   PUT /users/:id   the database first, then memory; the report is given up
//   GET /report      computed once for all who ask, kept for a minute or until a user is written
//   GET /stats       what the cache did
import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { DatabaseSync } from 'node:sqlite'
import { TidemarkError, type ErrorCode, type Keyspace, type Tidemark } from 'tidemark'
import type { User } from './user.ts'

export interface ServiceParts {
  readonly tide: Tidemark
  readonly users: Keyspace<User>
  /** For what the report counts. */
  readonly database: DatabaseSync
}

/** What the caller got wrong; the rest is our database's fault, or its absence. */
const statuses: Partial<Record<ErrorCode, ContentfulStatusCode>> = {
  ROW_KEY_INVALID: 404,
  ROW_INVALID: 422,
  VALUE_INVALID: 422,
}

export function service({ tide, users, database }: ServiceParts): Hono {
  const countries = database.prepare('SELECT country, count(*) AS users FROM users GROUP BY country ORDER BY country')
  const app = new Hono()

  app.get('/users/:id', async context => {
    const user = await users.get(context.req.param('id'))
    return user === undefined ? context.json({ error: 'there is no such user' }, 404) : context.json(user)
  })

  app.put('/users/:id', async context => {
    const id = context.req.param('id')
    const given: unknown = await context.req.json().catch(() => undefined)
    // The schema of the keyspace says whether it is a user.
    const user = await users.set(id, { ...(given as User), id: Number(id) })
    await tide.deleteByTag('users')
    return context.json(user)
  })

  app.get('/report', async context => {
    const report = await tide.getOrSet('report', () => ({ countries: countries.all() }), { ttl: '1m', tags: ['users'] })
    return context.json(report)
  })

  app.get('/stats', context => context.json({ all: tide.stats(), users: users.stats() }))

  app.onError((error, context) => {
    if (!(error instanceof TidemarkError)) return context.json({ error: 'something is wrong here' }, 500)
    return context.json({ error: error.message, code: error.code }, statuses[error.code] ?? 503)
  })

  return app
}
