// Network namespaces on one bridge, for partitions between real processes: each place has an address of its own, and a cut
// throws away what they send to each other, without a word to either. Everything is named after this process, and gone
// with `close`. Needs root and the program `ip`.
// Not for: what is cut when (test/chaos/faults.ts).
import { spawnSync } from 'node:child_process'

/** Where a process listens, and the namespace that it runs in. */
export interface Place {
  readonly host: string
  /** undefined: that of the machine. */
  readonly namespace: string | undefined
}

export const loopback: Place = { host: '127.0.0.1', namespace: undefined }

/** The words that run a program in a place. */
export function inPlace(place: Place, command: readonly string[]): string[] {
  return place.namespace === undefined ? [...command] : ['ip', 'netns', 'exec', place.namespace, ...command]
}

function ip(...args: readonly string[]): string | undefined {
  const done = spawnSync('ip', args, { encoding: 'utf8' })
  return done.status === 0 ? undefined : (done.error?.message ?? done.stderr.trim())
}

export class Namespaces {
  /** The machine's own place on the bridge. */
  readonly outside: Place
  /** Another address of the machine: cuts of `outside` do not concern it. */
  readonly aside: string
  readonly #name: string
  readonly #subnet: string
  #made = 0
  readonly #namespaces: string[] = []
  readonly #atExit = (): void => this.close()

  /** A reason, as text, where the machine does not allow them. */
  static open(): Namespaces | string {
    const made = new Namespaces()
    const failure = made.#open()
    if (failure === undefined) return made
    made.close()
    return failure
  }

  private constructor() {
    const { pid } = process
    this.#name = `tm${pid}`
    this.#subnet = `10.${192 + (pid % 61)}.${Math.floor(pid / 61) % 251}`
    this.outside = { host: `${this.#subnet}.1`, namespace: undefined }
    this.aside = `${this.#subnet}.2`
  }

  #open(): string | undefined {
    process.once('exit', this.#atExit)
    const bridge = this.#name
    const failure =
      ip('link', 'add', bridge, 'type', 'bridge') ??
      ip('addr', 'add', `${this.outside.host}/24`, 'dev', bridge) ??
      ip('addr', 'add', `${this.aside}/24`, 'dev', bridge) ??
      ip('link', 'set', bridge, 'up')
    if (failure !== undefined) return failure
    try {
      this.#filter(this.make(), 0)
      return undefined
    } catch (error) {
      return String(error)
    }
  }

  /** One more place. */
  make(): Place {
    const number = ++this.#made
    const namespace = `${this.#name}-${number}`
    const [host, outer, inner] = [
      `${this.#subnet}.${10 + number}`,
      `${this.#name}v${number}`,
      `${this.#name}w${number}`,
    ]
    this.#namespaces.push(namespace)
    const failure =
      ip('netns', 'add', namespace) ??
      ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner) ??
      ip('link', 'set', inner, 'netns', namespace) ??
      ip('-n', namespace, 'addr', 'add', `${host}/24`, 'dev', inner) ??
      ip('-n', namespace, 'link', 'set', inner, 'up') ??
      ip('-n', namespace, 'link', 'set', 'lo', 'up') ??
      ip('link', 'set', outer, 'master', this.#name, 'up')
    if (failure !== undefined) throw new Error(`no network namespace: ${failure}`)
    return { host, namespace }
  }

  /** From now on what `from` sends to `to` is lost, and only that. Connections stay open. */
  mute(from: Place, to: string): void {
    const failure = ip('-n', this.#of(from), 'route', 'add', 'blackhole', `${to}/32`)
    if (failure !== undefined) throw new Error(`cannot cut ${from.host} off from ${to}: ${failure}`)
  }

  /** From now on nothing passes between `from` and `to`. Connections stay open. */
  cut(from: Place, to: string): void {
    this.mute(from, to)
    // What comes from where nothing could be sent to is thrown away.
    this.#filter(from, 1)
  }

  /** Ends whatever keeps `from` from sending and hearing. */
  heal(from: Place): void {
    this.#filter(from, 0)
    const failure = ip('-n', this.#of(from), 'route', 'flush', 'type', 'blackhole')
    if (failure !== undefined) throw new Error(`cannot heal ${from.host}: ${failure}`)
  }

  #filter(place: Place, strict: 0 | 1): void {
    const script = `echo ${strict} > /proc/sys/net/ipv4/conf/all/rp_filter`
    const failure = ip('netns', 'exec', this.#of(place), 'sh', '-c', script)
    if (failure !== undefined) throw new Error(`cannot cut ${place.host} off: ${failure}`)
  }

  #of(place: Place): string {
    if (place.namespace === undefined) throw new Error(`${place.host} has no namespace of its own`)
    return place.namespace
  }

  /** What is to be removed should this process not come to it. */
  get names(): { readonly bridge: string; readonly namespaces: readonly string[] } {
    return { bridge: this.#name, namespaces: this.#namespaces }
  }

  close(): void {
    process.removeListener('exit', this.#atExit)
    for (const namespace of this.#namespaces) ip('netns', 'delete', namespace)
    ip('link', 'delete', this.#name)
  }
}
