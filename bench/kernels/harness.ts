/** Times one hand-written kernel of the cpu backend at one and at two threads. */
import { createCpuBackend } from '../../core/backends/cpu/index.ts'
import { type DType, dtypeInfo } from '../../core/dtype.ts'
import type { CallKernel, CallName, CallOperand, PlanBuffer } from '../../core/plan/kernel.ts'
import { contiguousStrides, numel } from '../../core/shape.ts'

const SECONDS = 0.6

/** An operand with a buffer of its own; `strides` in elements where it is not contiguous. */
export interface Tensor {
  readonly dtype?: DType
  readonly shape: readonly number[]
  readonly strides?: readonly number[]
  /** Elements where random numbers in [-0.5, 0.5) will not do. */
  readonly values?: readonly number[]
}

export interface Call {
  readonly name: CallName
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attrs?: CallKernel['attrs']
  readonly scalars?: readonly { readonly value: number; readonly type: 'f32' | 'i32' }[]
}

const operand = (t: Tensor, buffer: number): CallOperand => ({
  buffer,
  dtype: t.dtype ?? 'float32',
  shape: t.shape,
  strides: t.strides ?? contiguousStrides(t.shape),
  offset: 0,
})

function contents(t: Tensor): Float32Array | Int32Array | Uint16Array {
  const count = numel(t.shape)
  if (t.values) return t.dtype === 'int32' ? Int32Array.from(t.values) : Float32Array.from(t.values)
  // bfloat16: the upper halves of floats in [0.5, 1)
  if (t.dtype && dtypeInfo(t.dtype).deviceBytes === 2)
    return Uint16Array.from({ length: count }, (_, i) => 0x3f00 + (i % 128))
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5)
}

/**
 * The shortest of many runs, in milliseconds, by number of threads; `blas` as in TUNESMITH_BLAS. `repeat`: kernels of one plan, so
 * that starting it weighs little.
 */
export async function time(
  call: Call,
  threads: number,
  blas = 'off',
  seconds = SECONDS,
  repeat = 1,
): Promise<number> {
  const backend = createCpuBackend({ threads, blas })
  const tensors = [...call.inputs, ...call.outputs]
  const buffers = tensors.map((_, i) => i)
  const scalars = call.scalars ?? []
  const kernel: CallKernel = {
    kind: 'call',
    name: call.name,
    inputs: call.inputs.map((t, i) => operand(t, i)),
    outputs: call.outputs.map((t, i) => operand(t, call.inputs.length + i)),
    attrs: call.attrs ?? {},
    scalars: scalars.map((s, slot) => ({ slot, type: s.type })),
    label: call.name,
  }
  const bindings = tensors.map((t) => {
    const data = contents(t)
    const buffer = backend.allocate(data.byteLength)
    backend.upload(buffer, 0, data)
    return { buffer, offset: 0 }
  })
  const planBuffers = buffers.map(
    (binding): PlanBuffer => ({
      kind: 'external',
      bytes: bindings[binding].buffer.bytes,
      binding,
      written: binding >= call.inputs.length,
    }),
  )
  const kernels = Array.from({ length: repeat }, () => kernel)
  const plan = { kernels, buffers: planBuffers, scalarCount: scalars.length }
  const executable = backend.prepare(plan)
  const values = scalars.map((s) => s.value)
  await backend.startWorkers()
  let best = Number.POSITIVE_INFINITY
  const end = performance.now() + 1000 * seconds
  for (let runs = 0; runs < 5 || performance.now() < end; runs++) {
    const start = performance.now()
    executable.runSync!(bindings, values)
    best = Math.min(best, performance.now() - start)
  }
  await backend.shutdown()
  return best / repeat
}

/** Prints a line: what was done, then microseconds and a rate (work per nanosecond) at one and two threads. */
export async function report(
  label: string,
  call: Call,
  work: number,
  unit: 'GFLOP/s' | 'GB/s',
): Promise<void> {
  const parts: string[] = []
  for (const threads of [1, 2]) {
    const ms = await time(call, threads)
    parts.push(`${(1000 * ms).toFixed(0).padStart(8)} us ${(work / ms / 1e6).toFixed(1).padStart(6)} ${unit}`)
  }
  console.log(`${label.padEnd(44)} 1 thread ${parts[0]}   2 threads ${parts[1]}`)
}
