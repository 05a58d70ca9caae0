import { describe, expect, it } from 'vitest'
import { accuracy, bitsPerByte, macroF1, perplexity } from '../../transformers/metrics.ts'

describe('metrics', () => {
  const labels = [0, 0, 0, 1, 1, 2]
  const predictions = [0, 0, 1, 1, 2, 2]

  it('is the share of right predictions', () => {
    expect(accuracy(predictions, labels)).toBeCloseTo(4 / 6, 12)
  })

  it('averages F1 over classes, not texts', () => {
    // class 0: P 1, R 2/3 -> 0.8; class 1: P 1/2, R 1/2 -> 0.5; class 2: P 1/2, R 1 -> 2/3
    expect(macroF1(predictions, labels)).toBeCloseTo((0.8 + 0.5 + 2 / 3) / 3, 12)
  })

  it('does not reward always naming the large class', () => {
    const mostly = [...new Array(90).fill(0), ...new Array(10).fill(1)]
    const never = new Array(100).fill(0)
    expect(accuracy(never, mostly)).toBeCloseTo(0.9, 12)
    expect(macroF1(never, mostly)).toBeCloseTo(180 / 190 / 2, 12)
  })

  it('counts hesitation and bits', () => {
    expect(perplexity(Math.log(8))).toBeCloseTo(8, 12)
    // 10 tokens of ln 4 nats each are 20 bits, over 5 bytes
    expect(bitsPerByte(10 * Math.log(4), 5)).toBeCloseTo(4, 12)
  })

  it('refuses lists of different lengths', () => {
    expect(() => accuracy([1], [1, 2])).toThrow('[accuracy] 1 predictions for 2 labels')
  })
})
