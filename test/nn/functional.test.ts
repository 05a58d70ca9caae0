import { beforeAll, describe, expect, test } from 'vitest'
import { manualSeed, setDefaultDevice, type Tensor, tensor } from '../../core/index.ts'
import { functional as F } from '../../nn/index.ts'

beforeAll(async () => {
  await setDefaultDevice('reference')
})

const ints = (values: number[] | number[][]) => tensor(values, { dtype: 'int32' })
const close = async (got: Tensor, expected: number[], digits = 5) => {
  const values = await got.data()
  expect(values).toHaveLength(expected.length)
  for (const [i, x] of expected.entries()) expect(values[i]).toBeCloseTo(x, digits)
}

const X = [
  [2, -1, 0.5],
  [0.1, 0.2, 0.3],
  [-3, 4, 1],
  [1, 1, 1],
]
/** -log softmax, written down apart from the code under test. */
const nll = (row: number[], label: number) => Math.log(row.reduce((s, x) => s + Math.exp(x), 0)) - row[label]

describe('crossEntropy', () => {
  const labels = [0, 2, -100, 1]
  const each = [nll(X[0], 0), nll(X[1], 2), 0, nll(X[3], 1)]

  test('averages over the labels that count', async () => {
    const sum = each.reduce((a, b) => a + b, 0)
    await close(F.crossEntropy(tensor(X), ints(labels)), [sum / 3])
    await close(F.crossEntropy(tensor(X), ints(labels), { reduction: 'sum' }), [sum])
    await close(F.crossEntropy(tensor(X), ints(labels), { reduction: 'none' }), each)
    const other = F.crossEntropy(tensor(X), ints([0, 2, 1, 1]), { ignoreIndex: 1, reduction: 'sum' })
    await close(other, [each[0] + each[1]])
  })

  test('smooths labels and weighs classes as PyTorch does', async () => {
    const w = [1, 2, 0.5]
    const mean = (row: number[]) => [0, 1, 2].map((c) => nll(row, c)).reduce((a, b) => a + b, 0) / 3
    const smooth = X.map((row, i) => (labels[i] < 0 ? 0 : 0.9 * each[i] + 0.1 * mean(row)))
    await close(F.crossEntropy(tensor(X), ints(labels), { labelSmoothing: 0.1, reduction: 'none' }), smooth)
    const weighed = labels.map((l, i) => (l < 0 ? 0 : w[l] * each[i]))
    const total = labels.reduce((s, l) => s + (l < 0 ? 0 : w[l]), 0)
    const loss = F.crossEntropy(tensor(X), ints(labels), { weight: tensor(w) })
    await close(loss, [weighed.reduce((a, b) => a + b, 0) / total])
  })

  test('takes classes in dim 1 of more dimensions', async () => {
    const x = tensor(X).reshape([2, 2, 3]).permute([0, 2, 1])
    const loss = F.crossEntropy(
      x,
      ints([
        [0, 2],
        [-100, 1],
      ]),
      { reduction: 'none' },
    )
    expect(loss.shape).toEqual([2, 2])
    await close(loss, each)
  })

  test('has the gradient softmax minus one-hot, and 0 for ignored rows', async () => {
    const x = tensor(X).requiresGrad_()
    F.crossEntropy(x, ints(labels), { reduction: 'sum' }).backward()
    const expected = X.flatMap((row, i) => {
      const z = row.reduce((s, v) => s + Math.exp(v), 0)
      return row.map((v, c) => (labels[i] < 0 ? 0 : Math.exp(v) / z - (c === labels[i] ? 1 : 0)))
    })
    await close(x.grad!, expected)
  })

  test('refuses labels that are out of range or no classes', () => {
    expect(() => F.crossEntropy(tensor(X), ints([0, 1, 3, 0]))).toThrow(
      'label 3 is out of range for 3 classes',
    )
    expect(() => F.crossEntropy(tensor(X), tensor([0.5, 0, 0, 0]))).toThrow('not probabilities')
    expect(() => F.crossEntropy(tensor(X), ints([0, 1]))).toThrow('[2] do not fit input [4,3]')
  })
})

describe('other losses', () => {
  test('binaryCrossEntropyWithLogits with weights, and without overflow', async () => {
    const x = [-2, 0.5, 100, -100]
    const y = [1, 0, 1, 0]
    const expected = x.map((v, i) => (y[i] ? Math.log1p(Math.exp(-v)) : Math.log1p(Math.exp(v))))
    const loss = F.binaryCrossEntropyWithLogits(tensor(x), tensor(y), { reduction: 'none' })
    await close(loss, expected)
    const weighed = F.binaryCrossEntropyWithLogits(tensor(x), tensor(y), {
      reduction: 'sum',
      posWeight: tensor([3, 3, 3, 3]),
    })
    await close(weighed, [3 * expected[0] + expected[1]])
  })

  test('mseLoss and nllLoss', async () => {
    await close(F.mseLoss(tensor([1, 2]), tensor([3, 5])), [6.5])
    const logp = tensor(X).logSoftmax(1)
    const labels = ints([0, 2, -100, 1])
    const expected = await F.crossEntropy(tensor(X), labels).data()
    await close(F.nllLoss(logp, labels), [...expected])
    expect(() => F.mseLoss(tensor([1, 2]), tensor([1]))).toThrow('differ in shape')
  })
})

describe('scaledDotProductAttention', () => {
  const shape = (t: Tensor) => t.shape
  const make = (heads: number, tokens: number, phase: number) =>
    tensor(
      Float32Array.from({ length: heads * tokens * 4 }, (_, i) => Math.sin(i + phase)),
      [1, heads, tokens, 4],
    )

  test('is causal from the start where there are more keys than queries, as in PyTorch', async () => {
    const [q, k, v] = [make(1, 2, 0), make(1, 3, 1), make(1, 3, 2)]
    const out = F.scaledDotProductAttention(q, k, v, { isCausal: true })
    // the first query sees the first key alone
    await close(out.select(2, 0), [...(await v.select(2, 0).data())])
  })

  test('shares key heads only when asked to', () => {
    const [q, k] = [make(4, 2, 0), make(2, 2, 1)]
    expect(() => F.scaledDotProductAttention(q, k, k)).toThrow('enableGqa: true')
    expect(shape(F.scaledDotProductAttention(q, k, k, { enableGqa: true }))).toEqual([1, 4, 2, 4])
  })

  test('takes inputs without a batch', async () => {
    const [q, k, v] = [make(2, 3, 0), make(2, 3, 1), make(2, 3, 2)]
    const [a, b, c] = [q, k, v].map((t) => t.squeeze(0))
    const expected = await F.scaledDotProductAttention(q, k, v).data()
    await close(F.scaledDotProductAttention(a, b, c), [...expected])
  })
})

test('dropout scales what it keeps, and does nothing when not training', async () => {
  manualSeed(1)
  const x = tensor(new Float32Array(1000).fill(2))
  const values = [...(await F.dropout(x, { p: 0.25 }).data())]
  const kept = values.filter((v) => v !== 0)
  expect(kept.every((v) => Math.abs(v - 2 / 0.75) < 1e-6)).toBe(true)
  // 750 expected, standard deviation 14
  expect(Math.abs(kept.length - 750)).toBeLessThan(70)
  expect(F.dropout(x, { p: 0.25, training: false })).toBe(x)
  expect(() => F.dropout(x, { p: 1.5 })).toThrow('not a probability')
})
