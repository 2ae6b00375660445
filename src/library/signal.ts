// Calls that can be given up: what they began goes on, for those who wait for it too.

/** Resolves as `work` does, or rejects with the signal's reason once it is aborted. */
export function withSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const abort = (): void => reject(signal.reason as Error)
  // Somebody looks at how it ends even when nobody waits any more.
  work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return promise
}
