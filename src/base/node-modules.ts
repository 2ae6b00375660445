// Modules of Node's own that take milliseconds to load, for whoever needs them when he needs them: importing `tidemark` loads
// none of them (docs/decisions/0018-one-file-to-import.md). A call takes some 80 ns after the first.
// Not for: modules that every process has loaded by the time it starts (node:fs, node:path).
import type * as crypto from 'node:crypto'
import type * as net from 'node:net'
import type * as tls from 'node:tls'
import type * as threads from 'node:worker_threads'
import type * as zlib from 'node:zlib'

export function nodeCrypto(): typeof crypto {
  return process.getBuiltinModule('node:crypto')
}

export function nodeNet(): typeof net {
  return process.getBuiltinModule('node:net')
}

export function nodeTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}

export function nodeThreads(): typeof threads {
  return process.getBuiltinModule('node:worker_threads')
}

export function nodeZlib(): typeof zlib {
  return process.getBuiltinModule('node:zlib')
}
