// Encrypting values at rest in the tier: AES-256-GCM, with a ring of keys. What is written goes by the current key, what is read by
// whichever key of the ring it names, so that keys rotate without emptying the cache: first every process gets the new key in its
// ring, then it is made the current one, and the old one goes once what it wrote has expired.
// Not for: keys of records, their sizes, tags and expiry, which the tier sees; nor for hiding whether a value is null.
//
// Nonces are 96 random bits, so that processes need not agree on them. They must not come again under one key: NIST SP 800-38D
// (8.3) allows 2^32 encryptions by a key with random nonces, in all processes together. Each process counts its own, and
// refuses past that; with many processes that write much, the key has to be changed earlier.
import { nodeCrypto } from '../base/node-modules.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { KeyObject } from 'node:crypto'
import type { Random } from '../base/random.ts'

export interface KeyRing {
  /** The id of the key that is written with. */
  readonly current: string
  /** All keys that are read with, by id: 32 random bytes each. Ids stand in records, unencrypted. */
  readonly keys: Readonly<Record<string, Uint8Array>>
}

export interface Sealed {
  readonly nonce: Uint8Array
  readonly bytes: Uint8Array
  readonly mac: Uint8Array
}

const cipher = 'aes-256-gcm'
export const keyBytes = 32
export const nonceBytes = 12
export const macBytes = 16

function checkedKey(id: string, key: unknown): KeyObject {
  const idBytes = Buffer.byteLength(id)
  if (idBytes === 0 || idBytes > limits.keyIdBytesMax || !id.isWellFormed())
    throw new TidemarkError(
      'CODEC_INVALID',
      `the id of an encryption key has ${idBytes} bytes: 1 to ${limits.keyIdBytesMax} of UTF-8 are allowed`,
    )
  // The key itself is never in a message.
  const got = key instanceof Uint8Array ? `${key.length} bytes` : `a value of type ${typeof key}`
  if (!(key instanceof Uint8Array) || key.length !== keyBytes)
    throw new TidemarkError(
      'CODEC_INVALID',
      `encryption key ${JSON.stringify(id)} is ${got}: give a Uint8Array of ${keyBytes} bytes, as crypto.randomBytes(${keyBytes}) makes`,
    )
  return nodeCrypto().createSecretKey(key)
}

/** One for each ring and process: the keyspaces that share a ring share its counts. */
export class Encryption {
  /** The id of the key that is written with. */
  readonly keyId: string
  readonly #current: KeyObject
  readonly #keys = new Map<string, KeyObject>()
  readonly #random: Random
  readonly #encryptionsMax: number
  #encryptions = 0

  /**
   * Throws CODEC_INVALID for a ring without its current key, and for keys of another size. `random` has to be unguessable
   * (systemRandom()).
   */
  constructor(ring: KeyRing, random: Random, encryptionsMax: number = limits.encryptionsPerKeyMax) {
    for (const [id, key] of Object.entries(ring.keys)) this.#keys.set(id, checkedKey(id, key))
    const current = this.#keys.get(ring.current)
    if (current === undefined)
      throw new TidemarkError(
        'CODEC_INVALID',
        `the current encryption key ${JSON.stringify(ring.current)} is not in the ring, which has: ${[...this.#keys.keys()].join(', ') || 'none'}`,
      )
    this.keyId = ring.current
    this.#current = current
    this.#random = random
    this.#encryptionsMax = encryptionsMax
  }

  /** How many values this process has encrypted with the current key; see the bound above. */
  encryptions(): number {
    return this.#encryptions
  }

  #nonce(): Uint8Array {
    const nonce = Buffer.allocUnsafe(nonceBytes)
    for (let at = 0; at < nonceBytes; at += 4) nonce.writeUInt32LE(this.#random.uint32(), at)
    return nonce
  }

  /**
   * Encrypts with the current key. What it is `bound` to is not encrypted, and open() has to be given the same. Throws
   * ENCRYPTION_KEY_WORN when the key was used too often.
   */
  seal(bytes: Uint8Array, bound: Uint8Array): Sealed {
    if (this.#encryptions >= this.#encryptionsMax)
      throw new TidemarkError(
        'ENCRYPTION_KEY_WORN',
        `encryption key ${JSON.stringify(this.keyId)} has encrypted ${this.#encryptions} values in this process, as many as is safe: make another key the current one`,
      )
    this.#encryptions++
    const nonce = this.#nonce()
    const sealing = nodeCrypto().createCipheriv(cipher, this.#current, nonce, { authTagLength: macBytes })
    sealing.setAAD(bound)
    const sealed = sealing.update(bytes)
    sealing.final()
    return { nonce, bytes: sealed, mac: sealing.getAuthTag() }
  }

  /** True when open() has the key. */
  has(keyId: string): boolean {
    return this.#keys.has(keyId)
  }

  /** What was sealed with a key of the ring; undefined when it was sealed otherwise, bound to something else, or changed since. */
  open(keyId: string, { nonce, bytes, mac }: Sealed, bound: Uint8Array): Uint8Array | undefined {
    const key = this.#keys.get(keyId)
    if (key === undefined) return undefined
    const opening = nodeCrypto().createDecipheriv(cipher, key, nonce, { authTagLength: macBytes })
    opening.setAAD(bound)
    opening.setAuthTag(mac)
    const opened = opening.update(bytes)
    try {
      opening.final()
    } catch {
      return undefined
    }
    return opened
  }
}
