// The shared memory as typed arrays. One SharedArrayBuffer; windows over it (store/layout.ts says why).
import { limits } from '../base/limits.ts'
import { WINDOW_BYTES } from './layout.ts'

export class Memory {
  readonly shared: SharedArrayBuffer
  readonly bytes: readonly Buffer<SharedArrayBuffer>[]
  readonly words: readonly Int32Array<SharedArrayBuffer>[]
  readonly doubles: readonly Float64Array<SharedArrayBuffer>[]
  readonly views: readonly DataView<SharedArrayBuffer>[]
  readonly #private = new Int32Array(1)
  readonly #loadsReorder: boolean

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    const bytes: Buffer<SharedArrayBuffer>[] = []
    const words: Int32Array<SharedArrayBuffer>[] = []
    const doubles: Float64Array<SharedArrayBuffer>[] = []
    const views: DataView<SharedArrayBuffer>[] = []
    const overlap = limits.valueBytesMax + limits.segmentBytesMax + limits.keyBytesMax
    for (let at = 0; at < shared.byteLength; at += WINDOW_BYTES) {
      const length = Math.min(WINDOW_BYTES + Math.ceil(overlap / 8) * 8, shared.byteLength - at)
      bytes.push(Buffer.from(shared, at, length))
      words.push(new Int32Array(shared, at, length >>> 2))
      views.push(new DataView(shared, at, length))
      doubles.push(new Float64Array(shared, at, length >>> 3))
    }
    this.bytes = bytes
    this.words = words
    this.doubles = doubles
    this.views = views
    this.#loadsReorder = process.arch !== 'x64'
  }

  /**
   * Stores a word for readers without a lock, after all that this thread has stored before. On x86-64 a plain store does: the
   * processor keeps stores in order, and a compiler does too where both may be of one place, as those to these views may.
   */
  publish(words: Int32Array<SharedArrayBuffer>, at: number, value: number): void {
    if (this.#loadsReorder) Atomics.store(words, at, value)
    else words[at] = value
  }

  /**
   * Keeps plain loads before it from being done after the atomic load behind it. x86-64 never does that; elsewhere an
   * atomic load alone holds back only what follows it, and a read-modify-write is needed.
   */
  loadFence(): void {
    if (this.#loadsReorder) Atomics.add(this.#private, 0, 0)
  }
}
