/** The hash by which a content is named, made piece by piece. */
export interface ContentHash {
  update(bytes: Uint8Array): void
  /** In hexadecimal. Once. */
  digest(): string
}

/**
 * A hash of the kind that `etag` is: sha256 of the bytes (64 digits, git LFS), or git's blob id (40 digits), which is the
 * sha1 of `blob <size>\0` and the bytes. https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
 */
export async function contentHash(etag: string, size: number): Promise<ContentHash> {
  const isLarge = etag.length === 64
  const hash = await newHash(isLarge ? 'sha256' : 'sha1')
  if (!isLarge) hash.update(new TextEncoder().encode(`blob ${size}\0`))
  return hash
}

async function newHash(algorithm: 'sha256' | 'sha1'): Promise<ContentHash> {
  if (typeof process !== 'undefined' && process.versions?.node !== undefined) {
    const { createHash } = await import('node:crypto')
    const hash = createHash(algorithm)
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') }
  }
  // Web Crypto hashes only what is in memory as a whole.
  const hash =
    algorithm === 'sha256'
      ? (await import('@noble/hashes/sha2.js')).sha256.create()
      : (await import('@noble/hashes/legacy.js')).sha1.create()
  const { bytesToHex } = await import('@noble/hashes/utils.js')
  return { update: (bytes) => void hash.update(bytes), digest: () => bytesToHex(hash.digest()) }
}
