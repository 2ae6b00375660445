// HTTP for operators: is the process up (/health), does it serve (/ready), what has it counted (/metrics). Answers in the
// supervisor's thread, so it answers whatever the server threads do. Errors are JSON. Not for: keys and values.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AdminView, RunningAdmin } from '../server/supervisor.ts'
import { listenError } from '../server/transport.ts'

const JSON_TYPE = 'application/json; charset=utf-8'
const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

function json(status: number, value: unknown): Answer {
  return { status, type: JSON_TYPE, body: JSON.stringify(value) + '\n' }
}

const routes: Record<string, (view: AdminView) => Answer> = {
  '/health': () => json(200, { status: 'up', pid: process.pid }),
  '/ready': view => {
    const reasons = view.unready()
    if (reasons.length > 0) return json(503, { status: 'unready', reasons })
    const degraded = view.degraded()
    return json(200, degraded.length === 0 ? { status: 'ready' } : { status: 'ready', degraded })
  },
  '/metrics': view => ({ status: 200, type: PROMETHEUS_TYPE, body: view.metricsText() }),
}

function answer(view: AdminView, request: IncomingMessage): Answer {
  const path = (request.url ?? '/').split('?', 1)[0]!
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (route === undefined) {
    return json(404, { error: 'not found', message: `there is no ${path}`, paths: Object.keys(routes) })
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return json(405, { error: 'method not allowed', message: `${request.method} ${path}: only GET and HEAD` })
  }
  return route(view)
}

function respond(view: AdminView, request: IncomingMessage, response: ServerResponse): void {
  const { status, type, body } = answer(view, request)
  const allow = status === 405 ? { allow: 'GET, HEAD' } : {}
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...allow,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Resolves once it listens; rejects with ADDRESS_TAKEN or ADDRESS_REFUSED. */
export function startAdmin(view: AdminView): Promise<RunningAdmin> {
  const server: Server = createServer((request, response) => respond(view, request, response))
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(view.host, view.port, error, '--admin-port, environment TIDEMARK_ADMIN_PORT'))
    })
    server.listen({ host: view.host, port: view.port, exclusive: true }, () => {
      server.removeAllListeners('error')
      // Errors of accepting (too many open files) pass; the next request is tried again.
      server.on('error', () => {})
      const { address, port } = server.address() as AddressInfo
      resolve({ address, port, stop: () => stopServer(server) })
    })
  })
}

function stopServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
