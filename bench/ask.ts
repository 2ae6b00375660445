// One inline command on a connection of its own, and the first line of the answer: enough to see that a server is up and
// how many keys it holds. Not for measuring.
import { connect } from 'node:net'

/** The reply's first line, its type byte included: '+PONG', ':100'. */
export async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${command}\r\n`)
  let reply = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    reply += String(chunk)
    if (reply.includes('\r\n')) break
  }
  return reply.split('\r\n', 1)[0]!
}
