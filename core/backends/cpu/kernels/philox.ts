/**
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011), four counters at a
 * time.
 */
import type { CallKernel } from '../../../plan/kernel.ts'
import { Address, type FunctionBuilder, I32, I32x4, ModuleBuilder } from '../assembler.ts'
import { type Dispatch, scalarSlot } from '../dispatch.ts'
import { argumentBlock, ceilDiv, grainOf, operandAddress } from './arguments.ts'
import { RowLoops } from './row-loops.ts'

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57]
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85]
const ROUNDS = 10

export interface PhiloxKey {
  readonly key0: I32
  readonly key1: I32
  readonly counter0: I32
  readonly counter1: I32
}

/** The 16 elements of block number `block` of a stream, as four vectors. */
export type PhiloxStream = (block: I32) => I32x4[]

/** Call it before the loop that uses it: what all blocks share is computed here. */
export function philoxStream(f: FunctionBuilder, key: PhiloxKey): PhiloxStream {
  const multipliers = MULTIPLIERS.map((m) => f.let(I32x4.const(m | 0)))
  const lanes = f.let(I32x4.const(0, 1, 2, 3))
  const keys = Array.from({ length: ROUNDS }, (_, round) =>
    [key.key0, key.key1].map((k, i) => f.let(k.add(Math.imul(round, KEY_STEPS[i])).splat())),
  )
  /** Low and high words of the products with a multiplier. */
  const wideMultiply = (x: I32x4, m: I32x4): { low: I32x4; high: I32x4 } => {
    const first = f.let(x.extmulLowU(m))
    const second = f.let(x.extmulHighU(m))
    return { low: first.shuffle(second, [0, 2, 4, 6]), high: first.shuffle(second, [1, 3, 5, 7]) }
  }
  return (block) => {
    // 64-bit sum of the counter and 4 * block + lane; 4 * block may exceed 32 bits
    const at = f.let(block)
    const shifted = f.let(at.shl(2))
    const base0 = f.let(key.counter0.add(shifted))
    const carry = base0.ltU(shifted).add(at.shrU(30))
    const low = f.let(base0.splat())
    const c0 = f.let(low.add(lanes))
    const c1 = f.let(key.counter1.add(carry).splat().sub(c0.ltU(low)))
    // the upper words of the counter are 0: half of the first round's products are known
    const [[firstKey0, firstKey1], ...otherKeys] = keys
    const a = wideMultiply(c0, multipliers[0])
    const second = f.let(a.high.xor(firstKey1))
    let counter: I32x4[] = [f.let(c1.xor(firstKey0)), I32x4.const(0), second, f.let(a.low)]
    for (const [k0, k1] of otherKeys) {
      const a = wideMultiply(counter[0], multipliers[0])
      const b = wideMultiply(counter[2], multipliers[1])
      counter = [
        f.let(b.high.xor(counter[1]).xor(k0)),
        f.let(b.low),
        f.let(a.high.xor(counter[3]).xor(k1)),
        f.let(a.low),
      ]
    }
    return counter
  }
}

const block = argumentBlock({
  to: 'address',
  count: 'i32',
  key0: 'i32',
  key1: 'i32',
  counter0: 'i32',
  counter1: 'i32',
})

/** Unit: 16 elements. */
function emitPhilox(): ModuleBuilder {
  const module = new ModuleBuilder()
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = block.read(f, args)
    const stream = philoxStream(f, p)
    f.for(start, end, 1, (unit) => {
      const words = stream(unit)
      const to = f.let(p.to.at(unit, 64))
      const left = f.let(p.count.sub(unit.shl(4)))
      for (let w = 0; w < 4; w++)
        f.if(
          left.geS(4 * w + 4),
          () => f.storeVector(to, words[w], 16 * w),
          () =>
            f.if(left.gtS(4 * w), () =>
              rows.storeTail(f, to.add(16 * w), words[w].bitsToF32x4(), left.sub(4 * w)),
            ),
        )
    })
  })
  return module
}

export function lowerPhilox(kernel: CallKernel): Dispatch[] {
  const [to] = kernel.outputs
  const count = to.shape.reduce((a, b) => a * b, 1)
  const [key0, key1, counter0, counter1] = kernel.scalars.map((s) => scalarSlot(s.slot, 'i32'))
  const units = ceilDiv(count, 16)
  return [
    {
      codeKey: 'philox',
      emit: emitPhilox,
      args: block.words({ to: operandAddress(to), count, key0, key1, counter0, counter1 }),
      units,
      grain: grainOf(units, 25),
      cost: units * 25,
    },
  ]
}
