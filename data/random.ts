/**
 * Counter-based random numbers: the number at a place depends on key and counter alone, so a shuffle can be made
 * again at any time without the history of a generator. For the order of data only; tensors use core's Philox.
 */

/** A bijective mixer of 32 bits, `lowbias32` by Chris Wellons (https://github.com/skeeto/hash-prospector). */
function mix(value: number): number {
  let x = value >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** A key from several non-negative integers below 2^53, such as seed and epoch. */
export function randomKey(...parts: number[]): number {
  return parts.reduce((key, part) => mix(mix(key ^ part) + Math.floor(part / 2 ** 32) + 0x9e3779b9), 0)
}

/** Uniform in [0, 1) with 53 random bits. */
export function randomUniform(key: number, counter: number): number {
  const high = mix(mix(2 * counter + key) ^ key)
  const low = mix(mix(2 * counter + 1 + key) ^ key)
  return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53
}

/** Shuffles in place (Fisher and Yates; Knuth, The Art of Computer Programming 2, algorithm P). */
export function shuffle<T extends { [index: number]: V; length: number }, V>(items: T, key: number): T {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(randomUniform(key, i) * (i + 1))
    const item = items[i]
    items[i] = items[j]
    items[j] = item
  }
  return items
}
