/** The hand-written kernels' meaning in plain loops: see `CallName` in `core/plan/kernel.ts`. */
import type { CallKernel, CallName, CallOperand } from '../../plan/kernel.ts'
import { contiguousStrides, numel } from '../../shape.ts'
import { attention, attentionBackward } from './attention.ts'
import { argmax, gather, gatherRows, putRows, scatterAddRows } from './indexing.ts'
import { extent, type Run, scalarValues } from './loops.ts'
import { matmul } from './matmul.ts'
import { widen } from './memory.ts'
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward, softmax } from './normalize.ts'
import { philox } from './philox.ts'

/** An operand's elements in row-major order. */
export interface Dense {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

export interface CallArguments {
  readonly inputs: readonly Dense[]
  readonly attrs: CallKernel['attrs']
  readonly scalars: readonly number[]
  readonly outputs: readonly (readonly number[])[]
  /** What an output holds before, for kernels that work in place. */
  previous(output: number): Float64Array
}

/** Float64 results, one per output, rounded by the store. */
export type CallFunction = (call: CallArguments) => Float64Array[]

const CALLS: Record<CallName, CallFunction> = {
  matmul,
  softmax,
  layerNorm,
  layerNormBackward,
  rmsNorm,
  rmsNormBackward,
  gatherRows,
  scatterAddRows,
  putRows,
  gather,
  argmax,
  philox,
  attention,
  attentionBackward,
}

function read(o: CallOperand, run: Run): Dense {
  const data = new Float64Array(numel(o.shape))
  const { buffer, offset } = run.placed[o.buffer]
  const elements = buffer.elements(o.dtype)
  const base = offset / (elements instanceof Uint16Array ? 2 : 4)
  const toNumber = widen(o.dtype)
  let next = 0
  const walk = (d: number, at: number) => {
    if (d === o.shape.length) data[next++] = toNumber(elements[at])
    else for (let i = 0; i < o.shape[d]; i++) walk(d + 1, at + i * o.strides[d])
  }
  walk(0, base + o.offset)
  return { shape: o.shape, data }
}

function write(o: CallOperand, values: Float64Array, run: Run): void {
  const { buffer, offset } = run.placed[o.buffer]
  const elements = buffer.elements(o.dtype)
  const start = offset / 4 + o.offset
  const isFloat = o.dtype === 'float32'
  for (let i = 0; i < values.length; i++) elements[start + i] = isFloat ? values[i] : values[i] | 0
}

export function compileCall(k: CallKernel): (run: Run) => void {
  const call = CALLS[k.name]
  if (!call) throw new Error(`[reference] there is no kernel named ${k.name}`)
  for (const o of k.outputs)
    if (extent(o.shape, o) && !sameLayout(o))
      throw new Error(
        `[${k.name}] an output must be contiguous, but has strides [${o.strides}] for [${o.shape}]`,
      )
  return (run) => {
    const inputs = k.inputs.map((o) => read(o, run))
    const results = call({
      inputs,
      attrs: k.attrs,
      scalars: scalarValues(k.scalars, run),
      outputs: k.outputs.map((o) => o.shape),
      previous: (i) => read(k.outputs[i], run).data,
    })
    k.outputs.forEach((o, i) => {
      if (results[i].length !== numel(o.shape))
        throw new Error(
          `[${k.name}] output ${i} has ${results[i].length} elements, its shape is [${o.shape}]`,
        )
      write(o, results[i], run)
    })
  }
}

const sameLayout = (o: CallOperand): boolean => {
  const contiguous = contiguousStrides(o.shape)
  return o.strides.every((s, d) => o.shape[d] === 1 || s === contiguous[d])
}
