// One at a time for each key, in the order of their calls; keys do not wait for each other.

export class KeyLocks {
  readonly #last = new Map<string, Promise<unknown>>()

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const own = before === undefined ? work() : before.then(work, work)
    this.#last.set(key, own)
    const forget = (): void => {
      if (this.#last.get(key) === own) this.#last.delete(key)
    }
    own.catch(() => {}).finally(forget)
    return own
  }
}
