import {
  Address,
  F32,
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  I32x4,
  type ModuleBuilder,
} from '../assembler.ts'

/** Loops over rows of floats of any length: vectors of four, then the one to three elements that are left. */
export class RowLoops {
  readonly #load: FunctionHandle
  readonly #store: FunctionHandle

  constructor(module: ModuleBuilder) {
    const loadParameters = { address: Address, count: I32, fill: F32 }
    this.#load = module.helper(F32x4, loadParameters, (f, { address, count, fill }) => {
      const v = f.let(fill.splat())
      v.set(v.withLane(0, address.loadF32(0)))
      f.if(count.gtS(1), () => v.set(v.withLane(1, address.loadF32(4))))
      f.if(count.gtS(2), () => v.set(v.withLane(2, address.loadF32(8))))
      return v
    })
    const storeParameters = { address: Address, value: F32x4, count: I32 }
    this.#store = module.function(null, storeParameters, (f, { address, value, count }) => {
      f.storeLane(address, value, 0, 0)
      f.if(count.gtS(1), () => f.storeLane(address, value, 1, 4))
      f.if(count.gtS(2), () => f.storeLane(address, value, 2, 8))
    })
  }

  /** The last `count` (1 to 3) elements of a row; the lanes above hold `fill`. */
  loadTail(f: FunctionBuilder, address: Address, count: I32, fill: number): F32x4 {
    return f.callFor(F32x4, this.#load, address, count, F32.const(fill))
  }

  storeTail(f: FunctionBuilder, address: Address, value: F32x4, count: I32): void {
    f.call(this.#store, address, value, count)
  }

  /**
   * Calls `body` with vectors of the rows at `reads`; what it returns is stored to the row at `write`. In the last vector
   * missing lanes hold `fill`, and `keep` makes them 0. Two vectors are taken a turn: the even and the odd ones have the
   * numbers 0 and 1, so that a sum can have two parts that do not wait for each other.
   */
  each(
    f: FunctionBuilder,
    columns: I32,
    reads: readonly Address[],
    options: { fill?: number; write?: Address },
    // biome-ignore lint/suspicious/noConfusingVoidType: a body that returns nothing is the common case
    body: (values: F32x4[], keep: (v: F32x4) => F32x4, part: 0 | 1) => F32x4 | void,
  ): void {
    const { fill = 0, write } = options
    const pointers = reads.map((r) => f.let(r))
    const target = write && f.let(write)
    const whole = (offset: number, part: 0 | 1) => {
      const values = pointers.map((p) => f.let(p.loadF32x4(offset)))
      const result = body(values, (v) => v, part)
      if (target && result) f.storeVector(target, result, offset)
    }
    const advance = (bytes: number) => {
      for (const p of pointers) p.set(p.add(bytes))
      target?.set(target.add(bytes))
    }
    const i = f.let(I32.const(0))
    f.forFrom(i, columns.sub(7), 8, () => {
      whole(0, 0)
      whole(16, 1)
      advance(32)
    })
    f.forFrom(i, columns.sub(3), 4, () => {
      whole(0, 0)
      advance(16)
    })
    f.if(i.ltS(columns), () => {
      const count = f.let(columns.sub(i))
      const inRow = f.let(I32x4.const(0, 1, 2, 3).ltS(count.splat()))
      const values = pointers.map((p) => f.let(this.loadTail(f, p, count, fill)))
      const result = body(values, (v) => v.bitsToI32x4().and(inRow).bitsToF32x4(), 0)
      if (target && result) this.storeTail(f, target, result, count)
    })
  }
}
