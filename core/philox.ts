/** Philox 4x32-10 on the host (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). */
type Words4 = readonly [number, number, number, number]

/** High and low 32 bits of a product of two unsigned 32-bit numbers. */
function multiply(a: number, b: number): [number, number] {
  const product = BigInt(a >>> 0) * BigInt(b >>> 0)
  return [Number(product >> 32n), Number(product & 0xffffffffn)]
}

/** Four random words (unsigned) for a counter and a key. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply(0xd2511f53, c0)
    const [high1, low1] = multiply(0xcd9e8d57, c2)
    ;[c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0]
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0]
}

/** Elements of the stream as unsigned words, by the layout that `CallName` in plan/kernel.ts documents. */
export function philoxStream(key0: number, key1: number, counter0: number, counter1: number) {
  const start = (BigInt(counter1 >>> 0) << 32n) | BigInt(counter0 >>> 0)
  let block = -1
  let words: Words4 = [0, 0, 0, 0]
  return (element: number): number => {
    const wanted = Math.floor(element / 16) * 4 + (element % 4)
    if (wanted !== block) {
      block = wanted
      const counter = BigInt.asUintN(64, start + BigInt(block))
      const low = Number(counter & 0xffffffffn)
      words = philox4x32([low, Number(counter >> 32n), 0, 0], [key0, key1])
    }
    return words[Math.floor(element / 4) % 4]
  }
}
