// Compressing what a codec gave, when it is worth it, by node:zlib in the calling thread: a value of 1 MiB takes some
// milliseconds. Not for: streams.
import { nodeZlib } from '../base/node-modules.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'

/** In the order of the numbers that stand in records: append only. */
export const compressionNames = ['none', 'gzip', 'brotli', 'zstd'] as const

export type CompressionName = (typeof compressionNames)[number]

export interface CompressionOptions {
  readonly algorithm: CompressionName
  /** Encoded values of fewer bytes are left as they are; default 4 KiB. */
  readonly fromBytes?: number
}

export interface Compressed {
  readonly algorithm: CompressionName
  readonly bytes: Uint8Array
}

/** The quality of brotli: its own default, 11, is for files that are compressed once. */
const brotliQuality = 5

function compressWith(algorithm: Exclude<CompressionName, 'none'>, bytes: Uint8Array): Uint8Array {
  const zlib = nodeZlib()
  switch (algorithm) {
    case 'gzip':
      return zlib.gzipSync(bytes)
    case 'brotli':
      return zlib.brotliCompressSync(bytes, {
        params: {
          [zlib.constants.BROTLI_PARAM_QUALITY]: brotliQuality,
          [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        },
      })
    case 'zstd':
      return zlib.zstdCompressSync(bytes)
  }
}

export class Compression {
  readonly #algorithm: CompressionName
  readonly #fromBytes: number

  /** Throws CODEC_INVALID for options that are none. */
  constructor(options: CompressionOptions) {
    const { algorithm, fromBytes = limits.compressionFromBytes } = options
    if (!compressionNames.includes(algorithm))
      throw new TidemarkError(
        'CODEC_INVALID',
        `compression by ${JSON.stringify(algorithm)}: it is one of ${compressionNames.join(', ')}`,
      )
    if (!(fromBytes >= 0))
      throw new TidemarkError('CODEC_INVALID', `compression from ${fromBytes} bytes: give a number of 0 or more`)
    this.#algorithm = algorithm
    this.#fromBytes = fromBytes
  }

  /** The bytes compressed, or themselves with 'none' where they are few or would not get smaller by a tenth. */
  compress(bytes: Uint8Array): Compressed {
    const algorithm = this.#algorithm
    if (algorithm !== 'none' && bytes.length >= this.#fromBytes) {
      const compressed = compressWith(algorithm, bytes)
      if (compressed.length <= bytes.length * limits.compressedShareMax) return { algorithm, bytes: compressed }
    }
    return { algorithm: 'none', bytes }
  }
}

/** What was compressed; undefined when it does not decompress, or to more than `bytesMax`: that much is never allocated. */
export function decompress({ algorithm, bytes }: Compressed, bytesMax: number): Uint8Array | undefined {
  const zlib = nodeZlib()
  const options = { maxOutputLength: bytesMax }
  try {
    switch (algorithm) {
      case 'none':
        return bytes
      case 'gzip':
        return zlib.gunzipSync(bytes, options)
      case 'brotli':
        return zlib.brotliDecompressSync(bytes, options)
      case 'zstd':
        return zlib.zstdDecompressSync(bytes, options)
    }
  } catch {
    return undefined
  }
}
