import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as T from '../../core/index.ts'
import { assignSlice } from '../../core/ops/effects.ts'
import { planCacheStats } from '../../core/plan/cache.ts'

const parameter = (values: number[], name = 'w') => {
  const state = new T.State([values.length], 'float32', name)
  state.write(Float32Array.from(values))
  return new T.StateTensor(state).requiresGrad_()
}
const read = async (t: T.Tensor) => Array.from(await t.data())

beforeAll(async () => {
  await T.setDefaultDevice('reference')
})

describe('State', () => {
  it('is read as it is at that point of the program', async () => {
    const w = parameter([1, 2])
    const before = w.mul(10)
    T.noGrad(() => w.add_(1))
    const after = w.mul(10)
    await T.evaluate(before, after)
    expect(await read(before)).toEqual([10, 20])
    expect(await read(after)).toEqual([20, 30])
    expect(await read(w)).toEqual([2, 3])
  })

  it('keeps an old version that is read after a permuted write', async () => {
    const s = new T.State([2, 2], 'float32', 's')
    s.write(Float32Array.of(1, 2, 3, 4))
    const x = new T.StateTensor(s)
    x.copy_(x.t())
    expect(await read(x)).toEqual([1, 3, 2, 4])
  })

  it('writes several States of one step from their old versions', async () => {
    const a = parameter([1, 2], 'a')
    const b = parameter([3, 4], 'b')
    T.noGrad(() => {
      const [x, y] = [a.mul(1), b.mul(1)]
      a.copy_(y)
      b.copy_(x)
    })
    await T.evaluate()
    expect(await read(a)).toEqual([3, 4])
    expect(await read(b)).toEqual([1, 2])
  })

  it('is folded into later kernels as it was when a result or a view was taken', async () => {
    const w = parameter([1, 2, 3, 4])
    const [doubled, view] = [w.mul(2), w.reshape([2, 2]).t()]
    T.noGrad(() => w.add_(1))
    expect(await read(doubled.add(w).add(view.mul(100).reshape([4])))).toEqual([104, 307, 210, 413])
  })

  describe('given the product of matrices', () => {
    const zeros = (shape: number[]) => {
      const state = new T.State(shape, 'float32', 's')
      state.write(new Float32Array(shape[0] * shape[1]))
      return new T.StateTensor(state)
    }
    const product = (...rows: number[][]) =>
      T.tensor(rows).matmul(
        T.tensor([
          [1, 0],
          [0, 1],
        ]),
      )

    it('holds the last of several writes, whatever was computed first', async () => {
      const [s, late] = [zeros([2, 2]), product([1, 2], [3, 4])]
      s.copy_(T.full([2, 2], 9))
      s.copy_(late)
      expect(await read(s)).toEqual([1, 2, 3, 4])
      const again = product([5, 6], [7, 8])
      assignSlice(s.state, T.full([1, 2], 9), 0, 1)
      s.copy_(again)
      expect(await read(s)).toEqual([5, 6, 7, 8])
    })

    it('leaves the product to those who read it after the next one was made', async () => {
      const [s, first] = [zeros([2, 2]), product([1, 2], [3, 4])]
      s.copy_(first)
      const second = product([5, 6], [7, 8])
      const y = first.matmul(product([1, 0], [0, 1]))
      s.copy_(second)
      await T.evaluate(y)
      expect(await read(y)).toEqual([1, 2, 3, 4])
      expect(await read(s)).toEqual([5, 6, 7, 8])
    })

    it('takes a slice of it only', async () => {
      const s = zeros([1, 2])
      s.copy_(product([1, 2], [3, 4]).narrow(0, 0, 1))
      expect(await read(s)).toEqual([1, 2])
      s.copy_(product([1, 2], [3, 4]).narrow(0, 1, 1))
      expect(await read(s)).toEqual([3, 4])
    })
  })

  it('names itself when an overwritten version is read', async () => {
    const w = parameter([1, 2], 'encoder.weight')
    const y = w.mul(2)
    T.noGrad(() => w.add_(1))
    await T.evaluate()
    await expect(y.data()).rejects.toThrow(/encoder\.weight was overwritten.*retain\(\)/)
  })

  it('keeps what retain() asked for', async () => {
    const w = parameter([1, 2])
    const y = w.mul(2).retain()
    T.noGrad(() => w.add_(1))
    await T.evaluate()
    expect(await read(y)).toEqual([2, 4])
  })

  it('refuses in-place changes of what requires a gradient', () => {
    const w = parameter([1, 2], 'w')
    expect(() => w.add_(1)).toThrow(/w requires a gradient.*noGrad/)
  })

  it('is read before anything was written only with an error', async () => {
    const s = new T.State([2], 'float32', 'empty')
    await expect(new T.StateTensor(s).add(1).data()).rejects.toThrow(
      /empty is read before anything was written/,
    )
  })

  it('grows at a slot: other positions are the same plan', async () => {
    const cache = new T.State([1, 6, 2], 'float32', 'cache')
    cache.write(new Float32Array(12))
    const step = async (at: number) => {
      assignSlice(cache, T.tensor([[[at + 1, -at]]]), 1, at)
      return read(new T.StateTensor(cache).sum())
    }
    await step(0)
    const { misses } = planCacheStats()
    await step(1)
    await step(4)
    expect(planCacheStats().misses).toBe(misses)
    expect(await read(new T.StateTensor(cache))).toEqual([1, -0, 2, -1, 0, 0, 0, 0, 5, -4, 0, 0])
  })
})

describe('leaves without a State', () => {
  it('are trained by in-place changes under noGrad', async () => {
    const w = T.tensor([1, 2], { requiresGrad: true })
    for (let i = 0; i < 3; i++) {
      const loss = w.square().sum()
      loss.backward()
      T.noGrad(() => w.sub_(w.grad!.mul(0.25)))
      w.grad = null
      await loss.item()
      expect(w.requiresGrad).toBe(true)
      expect(w.value.node).toBe(null)
    }
    expect(await read(w)).toEqual([0.125, 0.25])
  })

  it('keep their gradient, and change under noGrad only', async () => {
    const w = T.tensor([1], { requiresGrad: true })
    w.mul(5).sum().backward()
    T.noGrad(() => w.fill_(7))
    expect(await read(w.grad!)).toEqual([5])
    expect(() => w.add_(1)).toThrow(/leaf requires a gradient.*noGrad/)
  })
})

describe('values at the edges', () => {
  const ints = (...values: number[]) => T.tensor(Int32Array.from(values))

  it('keep whole numbers that floats cannot hold', async () => {
    expect(await read(ints(1, 16777217).indexSelect(0, ints(1, 0)))).toEqual([16777217, 1])
    expect(await T.tensor([true, false]).indexSelect(0, ints(1, 0)).tolist()).toEqual([false, true])
    expect(await read(ints(-2, 3).pow(3))).toEqual([-8, 27])
  })

  it('are defined for no elements', async () => {
    const none = T.zeros([2, 0])
    expect(await none.any(1).tolist()).toEqual([false, false])
    expect(await none.all(1).tolist()).toEqual([true, true])
    expect(await none.sum({ dim: 1, keepdim: true }).tolist()).toEqual([[0], [0]])
    expect(await none.matmul(T.zeros([0, 2])).tolist()).toEqual([
      [0, 0],
      [0, 0],
    ])
    expect(() => T.tensor(1).slice(0, 0, 1)).toThrow(/without dimensions/)
    expect(() => T.cat([T.tensor(1)])).toThrow(/use stack/)
  })

  it('have the gradient of a product with zeros in it', async () => {
    const w = T.tensor(
      [
        [2, 0, 3],
        [0, 0, 3],
        [2, 4, 3],
      ],
      { requiresGrad: true },
    )
    w.prod({ dim: 1 }).sum().backward()
    expect(await read(w.grad!)).toEqual([0, 6, 0, 0, 0, 0, 12, 6, 8])
  })

  it('are written at an index', async () => {
    const x = T.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    x.setAt_([1, [-2]], T.tensor([8, 9]))
    x.setAt_(0, 7)
    expect(await x.tolist()).toEqual([
      [7, 7, 7],
      [4, 8, 9],
    ])
    expect(await read(x.setAt_(x.gt(7), 0))).toEqual([7, 7, 7, 4, 0, 0])
    expect(() => x.setAt_([5], 1)).toThrow(/out of range/)
    expect(() => x.at(ints(0), ints(1))).toThrow(/more than one tensor/)
  })
})

describe('to', () => {
  it('casts to a dtype and moves to a device', async () => {
    const x = T.tensor([1.5, -2.5])
    expect(x.to('int32').dtype).toBe('int32')
    expect(await read(x.to('int32'))).toEqual([1, -2])
    const moved = await x.to('reference')
    expect(moved.device).toBe('reference')
    const flags = await T.tensor([true, false]).to('reference')
    expect(await flags.tolist()).toEqual([true, false])
    expect(await read(moved.mul(2))).toEqual([3, -5])
    const far = await x.to('cpu')
    expect(() => far.add(moved)).toThrow(/on cpu and on reference.*to\('cpu'\)/)
  })
})

describe('gradients', () => {
  it('add up until zeroGrad', async () => {
    const w = parameter([1, 2])
    const x = T.tensor([3, 4])
    w.mul(x).sum().backward()
    w.mul(x).sum().backward()
    expect(await read(w.grad!)).toEqual([6, 8])
    T.zeroGrad([w])
    expect(w.grad).toBe(null)
    w.mul(x).sum().backward()
    expect(await read(w.grad!)).toEqual([3, 4])
  })

  it('go through hooks, which may be removed', async () => {
    const w = parameter([1, 2])
    const h = w.mul(2)
    const hook = h.registerHook((g) => g.mul(10))
    h.sum().backward()
    expect(await read(w.grad!)).toEqual([20, 20])
    hook.remove()
    T.zeroGrad([w])
    w.mul(2).sum().backward()
    expect(await read(w.grad!)).toEqual([2, 2])
  })

  it('come from a custom function', async () => {
    const round = T.customFunction({
      name: 'straightThrough',
      forward: (x) => x.round(),
      backward: (dy) => [dy.mul(3)],
    })
    const w = parameter([1.2, 2.7])
    const y = round(w)
    y.sum().backward()
    expect(await read(y)).toEqual([1, 3])
    expect(await read(w.grad!)).toEqual([3, 3])
  })

  it('are not recorded under noGrad, also across await, and other tasks do not notice', async () => {
    const w = parameter([1])
    const inside = T.noGrad(async () => {
      await new Promise((r) => setTimeout(r, 5))
      return w.mul(2).requiresGrad
    })
    expect(w.mul(2).requiresGrad).toBe(true)
    expect(await inside).toBe(false)
    expect(T.isGradEnabled()).toBe(true)
  })

  it('need a graph that is still there', async () => {
    const w = parameter([1])
    const loss = w.mul(2).sum()
    loss.backward()
    await loss.item()
    expect(() => loss.backward()).toThrow(/retainGraph/)
    expect(() => T.tensor([1]).sum().backward()).toThrow(/does not depend on anything/)
    expect(() => w.mul(2).expand([2, 1]).backward()).toThrow(/one element/)
  })
})

describe('an evaluation that fails', () => {
  it('leaves the next one alone', async () => {
    const w = parameter([1, 2])
    const stale = w.mul(2)
    T.noGrad(() => w.add_(1))
    await T.evaluate()
    const other = parameter([0, 0], 'other')
    T.noGrad(() => other.copy_(stale))
    await expect(other.data()).rejects.toThrow(/overwritten/)
    expect(await read(T.tensor([1]).add(2))).toEqual([3])
    expect(await read(w)).toEqual([2, 3])
  })

  it('runs effects without anything to read, on the spot', () => {
    const w = parameter([1])
    T.noGrad(() => w.add_(1))
    T.evaluateSync()
    expect(w.value.storage).not.toBe(null)
    expect(w.itemSync()).toBe(2)
  })
})

describe('evaluation', () => {
  let misses = 0
  beforeEach(() => {
    misses = planCacheStats().misses
  })

  it('replays one plan when only numbers change', async () => {
    for (let i = 0; i < 5; i++)
      expect(await T.tensor([1, 2, 3]).mul(i).add(i).sum().item()).toBe(6 * i + 3 * i)
    expect(planCacheStats().misses - misses).toBeLessThanOrEqual(1)
  })

  it('keeps running sums short', async () => {
    const w = parameter([1])
    let total = T.tensor(0)
    for (let i = 0; i < 200; i++) {
      const loss = w.mul(i).sum()
      loss.backward()
      total = total.add(loss.detach())
      await T.evaluate()
    }
    let depth = 0
    for (let node = total.value.node; node; node = node.inputs[0].node) depth++
    expect(depth).toBeLessThan(80)
    expect(await total.item()).toBe((199 * 200) / 2)
  })

  it('gives values at once in eager mode', () => {
    T.eager(() => {
      const x = T.tensor([1, 2]).mul(3)
      expect(x.value.storage).not.toBe(null)
      expect(String(x)).toBe('Tensor [2] float32 host\n[3, 6]')
    })
    expect(T.tensor([1]).mul(2).value.storage).toBe(null)
  })

  it('names the op behind the first NaN', () => {
    expect(() => T.detectAnomaly(() => T.tensor([1, -1]).log().add(1))).toThrow(
      /\[log\] made the first NaN, at element 1.*effects\.test/,
    )
  })

  it('holds no device memory for small results', async () => {
    const before = T.memory.stats().roots
    const kept = []
    for (let i = 0; i < 10; i++) {
      const x = T.rand([100])
      await x.data()
      kept.push(x)
    }
    // roots of earlier tests may be collected meanwhile
    expect(T.memory.stats().roots).toBeLessThanOrEqual(before)
  })
})
