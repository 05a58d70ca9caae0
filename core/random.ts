/** Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011), the same stream on every backend. */

import { philoxStream } from './philox.ts'

/** A stream of random numbers. Each op reserves its part when it is called, so order of evaluation does not matter. */
export class Generator {
  private seed = 0n
  /** Counters used so far. */
  private position = 0

  constructor(seed: number | bigint = 0) {
    this.manualSeed(seed)
  }

  /** Starts the stream anew; the seed is taken modulo 2^64. */
  manualSeed(seed: number | bigint): this {
    if (typeof seed === 'number' && !Number.isInteger(seed))
      throw new TypeError(`[manualSeed] ${seed} is not an integer`)
    this.seed = BigInt.asUintN(64, BigInt(seed))
    this.position = 0
    return this
  }

  /** The counters for `n` elements and the key: what the philox kernels take as scalars. */
  reserve(n: number): { key0: number; key1: number; counter0: number; counter1: number } {
    const start = this.position
    this.position += Math.ceil(n / 16) * 4
    return {
      key0: Number(this.seed & 0xffffffffn),
      key1: Number(this.seed >> 32n),
      counter0: start % 2 ** 32,
      counter1: Math.floor(start / 2 ** 32),
    }
  }

  /** One number in [0, 1) on the host, with 24 bits: element 0 of a reservation of its own. */
  uniform(): number {
    const { key0, key1, counter0, counter1 } = this.reserve(1)
    return (philoxStream(key0, key1, counter0, counter1)(0) >>> 8) * 2 ** -24
  }

  getState(): { seed: string; position: number } {
    return { seed: this.seed.toString(), position: this.position }
  }

  setState(state: { seed: string; position: number }): void {
    this.seed = BigInt(state.seed)
    this.position = state.position
  }
}

export const defaultGenerator = new Generator(0)

/** Seeds the default generator. The same seed gives the same numbers on every backend. */
export const manualSeed = (seed: number | bigint): Generator => defaultGenerator.manualSeed(seed)
