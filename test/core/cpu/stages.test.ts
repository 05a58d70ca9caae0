/** Which kernels run side by side, and that nothing runs before what it depends on. */
import { expect, test } from 'vitest'
import { stagesOf } from '../../../core/backends/cpu/stages.ts'
import type { CallKernel, CallOperand } from '../../../core/plan/kernel.ts'

const operand = (buffer: number): CallOperand => ({
  buffer,
  dtype: 'float32',
  shape: [4, 4],
  strides: [4, 1],
  offset: 0,
})

const kernel = (name: 'matmul' | 'softmax', reads: number[], writes: number): CallKernel => ({
  kind: 'call',
  name,
  inputs: reads.map(operand),
  outputs: [operand(writes)],
  attrs: {},
  scalars: [],
  label: name,
})

const stages = (...kernels: CallKernel[]) => stagesOf(kernels, (i) => kernels[i].name === 'matmul')

test('products of the same input join across what does not concern them', () => {
  // queries, something made of them, keys, something made of those, values
  const kernels = [
    kernel('matmul', [0, 1], 10),
    kernel('softmax', [10], 11),
    kernel('matmul', [0, 2], 12),
    kernel('softmax', [12], 13),
    kernel('matmul', [0, 3], 14),
  ]
  expect(stages(...kernels)).toEqual([[0, 2, 4], [1], [3]])
})

test('a product waits for what it reads, and for readers of what it writes', () => {
  const reads = [kernel('matmul', [0, 1], 10), kernel('softmax', [10], 11), kernel('matmul', [11, 2], 12)]
  expect(stages(...reads)).toEqual([[0], [1], [2]])
  // in place: the second product writes what the softmax still reads
  const writes = [kernel('matmul', [0, 1], 10), kernel('softmax', [5], 11), kernel('matmul', [0, 2], 5)]
  expect(stages(...writes)).toEqual([[0], [1], [2]])
  const same = [kernel('matmul', [0, 1], 10), kernel('matmul', [0, 2], 10)]
  expect(stages(...same)).toEqual([[0], [1]])
})
