// A tier whose memory takes no large values. Not for: a server that really has no room (tier/valkey-server.test.ts).
import type { Awaitable, SharedTier, TierValue, TooLarge } from '../../src/tier/tier.ts'
import { TierAround } from '../../src/tier/wrapped-tier.ts'

/** A tier whose memory takes no value of more bytes than these. */
export class SmallTier extends TierAround {
  readonly #bytesMax: number

  constructor(tier: SharedTier, bytesMax: number) {
    super(tier)
    this.#bytesMax = bytesMax
  }

  override fill(...[key, token, value]: Parameters<SharedTier['fill']>) {
    return this.#kept(key, value, () => super.fill(key, token, value))
  }

  override put(...[key, value]: Parameters<SharedTier['put']>) {
    return this.#kept(key, value, () => super.put(key, value))
  }

  override putFenced(...[key, id, value]: Parameters<SharedTier['putFenced']>) {
    return this.#kept(key, value, () => super.putFenced(key, id, value))
  }

  // What does not fit leaves, with whatever was there.
  async #kept<T>(key: string, { payload }: TierValue<unknown>, keep: () => Awaitable<T>): Promise<T | TooLarge> {
    if ((payload?.length ?? 0) <= this.#bytesMax) return keep()
    await this.tier.voidKey(key)
    return 'too-large'
  }
}
