import { describe, expect, test } from 'vitest'
import {
  Address,
  type AddressBits,
  F32,
  F32x4,
  I32,
  I32x4,
  ModuleBuilder,
} from '../../../core/backends/cpu/assembler.ts'
import { hasMemory64 } from '../../../core/backends/cpu/features.ts'
import { createMemory } from '../../../core/backends/cpu/memory.ts'

/** Compiles the module and gives its exports over a fresh shared memory. */
function instantiate(module: ModuleBuilder, bits: AddressBits) {
  const memory = createMemory(1, 1024, bits)
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes(bits)), { env: { memory } })
  const f32 = new Float32Array(memory.buffer)
  const i32 = new Int32Array(memory.buffer)
  return { run: instance.exports.run as (...args: number[]) => void, f32, i32 }
}

describe.each(hasMemory64() ? ([32, 64] as const) : ([32] as const))(
  'assembler, %s-bit addresses',
  (bits) => {
    test('for loops, nested control and variables', () => {
      const module = new ModuleBuilder()
      module.function('run', { out: Address, n: I32 }, (f, { out, n }) => {
        const sum = f.local(I32)
        sum.set(0)
        f.for(0, n, 1, (i) => {
          f.block((next) => {
            f.brIf(next, i.remS(3).eqz())
            f.if(
              i.and(1),
              () => sum.set(sum.add(i)),
              () => sum.set(sum.sub(i)),
            )
          })
        })
        f.store(out, sum)
      })
      const { run, i32 } = instantiate(module, bits)
      let expected = 0
      for (let i = 0; i < 100; i++) if (i % 3) expected += i & 1 ? i : -i
      run(64, 100)
      expect(i32[16]).toBe(expected)
      run(64, 0)
      expect(i32[16]).toBe(0)
    })

    test('constants survive their encoding', () => {
      const values = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, 2 ** 31 - 1, -(2 ** 31), 123456789]
      const module = new ModuleBuilder()
      module.function('run', { out: Address }, (f, { out }) => {
        for (const [i, value] of values.entries()) f.store(out, value, i * 4)
        f.storeF32(out, F32.const(1 / 3), 4 * values.length)
      })
      const { run, i32, f32 } = instantiate(module, bits)
      run(0)
      expect([...i32.subarray(0, values.length)]).toEqual(values)
      expect(f32[values.length]).toBe(Math.fround(1 / 3))
    })

    test('while, helper functions and results', () => {
      const module = new ModuleBuilder()
      const gcd = module.helper(I32, { a: I32, b: I32 }, (f, { a, b }) => {
        f.while(b.ne(0), () => {
          const rest = f.let(a.remS(b))
          a.set(b)
          b.set(rest)
        })
        return a
      })
      module.function('run', { out: Address, a: I32, b: I32 }, (f, { out, a, b }) => {
        f.store(out, f.callFor(I32, gcd, a, b))
      })
      const { run, i32 } = instantiate(module, bits)
      run(0, 84, 126)
      expect(i32[0]).toBe(42)
    })

    test('vectors: lanes, shuffles, masks, widening, 64-bit products', () => {
      const module = new ModuleBuilder()
      module.function('run', { x: Address, out: Address }, (f, { x, out }) => {
        const v = f.let(x.loadF32x4())
        f.storeVector(out, v.shuffle(F32x4.const(9), [3, 2, 1, 4]))
        f.storeVector(out, v.gt(F32x4.const(2)).select(v, F32x4.const(-1)), 16)
        f.storeVector(out, x.load16x4U(16), 32)
        f.storeVector(out, I32x4.const(-1, 3, 0, 0).extmulLowU(I32x4.const(-1, 5, 0, 0)), 48)
        f.storeLane(out, v, 3, 64)
        f.store(
          out,
          v
            .eq(v)
            .allTrue()
            .add(v.lt(F32x4.const(3)).bitmask().shl(8)),
          68,
        )
        f.storeF32(out, v.lane(1), 72)
        f.storeHalf(out, v, 1, 80)
      })
      const { run, f32, i32 } = instantiate(module, bits)
      f32.set([1, 2, 3, 4])
      new Uint16Array(f32.buffer, 16, 4).set([65535, 1, 2, 32768])
      run(0, 256)
      expect([...f32.subarray(64, 72)]).toEqual([4, 3, 2, 9, -1, -1, 3, 4])
      expect([...i32.subarray(72, 76)]).toEqual([65535, 1, 2, 32768])
      expect([...i32.subarray(76, 80)]).toEqual([1, -2, 15, 0])
      expect(f32[80]).toBe(4)
      expect(i32[81]).toBe(1 + (0b0011 << 8))
      expect(f32[82]).toBe(2)
      expect([...f32.subarray(84, 86)]).toEqual([3, 4])
    })

    test.each([true, false])('madd and nmadd, relaxed SIMD %s', (relaxedSimd) => {
      const module = new ModuleBuilder({ relaxedSimd })
      module.function('run', { out: Address }, (f, { out }) => {
        f.storeVector(out, f.madd(F32x4.const(3), F32x4.const(5), F32x4.const(7)))
        f.storeVector(out, f.nmadd(F32x4.const(3), F32x4.const(5), F32x4.const(7)), 16)
      })
      const { run, f32 } = instantiate(module, bits)
      run(0)
      expect([...f32.subarray(0, 8)]).toEqual([22, 22, 22, 22, -8, -8, -8, -8])
    })

    test('memory fill and copy', () => {
      const module = new ModuleBuilder()
      module.function('run', { at: Address }, (f, { at }) => {
        f.memoryFill(at, 1, 8)
        f.memoryCopy(at.add(16), at, 8)
      })
      const { run, i32 } = instantiate(module, bits)
      run(0)
      expect([...i32.subarray(0, 6)]).toEqual([0x01010101, 0x01010101, 0, 0, 0x01010101, 0x01010101])
    })

    test('addresses: products with strides, comparisons, selection, low bits', () => {
      const module = new ModuleBuilder()
      module.function('run', { out: Address, i: I32 }, (f, { out, i }) => {
        const far = f.let(out.at(i, 2 ** 31))
        f.store(out, far.gtS(2 ** 31 - 1))
        f.store(out, far.sub(5 * 2 ** 31).toI32(), 4)
        f.store(out, far.sub(5 * 2 ** 31).load(8), 12)
        const nothing = f.let(Address.const(0))
        f.store(out, nothing.select<I32>(I32.const(1), I32.const(2)), 16)
        f.store(out, far.select<I32>(I32.const(1), I32.const(2)), 20)
        f.store(out, nothing.isZero(), 24)
        f.store(out, Address.of(i).sub(6).mul(i).shl(2).toI32(), 28)
      })
      const { run, i32 } = instantiate(module, bits)
      i32[2] = 7
      run(0, 5)
      // 5 * 2^31 has no room in 32 bits: it is -2^31 there
      expect([...i32.subarray(0, 8)]).toEqual([bits === 64 ? 1 : 0, 0, 7, 7, 2, 1, 1, -20])
    })

    test('a call with arguments of other types than the parameters is refused', () => {
      const module = new ModuleBuilder()
      const callee = module.function(null, { at: Address, count: I32 }, () => undefined)
      const write = (arg: Address | I32) => () =>
        module.function('run', {}, (f) => f.call(callee, arg, I32.const(1)))
      expect(write(Address.const(1))).not.toThrow()
      expect(write(I32.const(1))).toThrow('(address,i32) is called with (i32,i32)')
    })
  },
)
