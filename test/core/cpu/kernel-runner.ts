/** Runs a hand-written kernel's dispatches on one thread, with the units split as several threads might take them. */
import type { ArgWord, Dispatch } from '../../../core/backends/cpu/dispatch.ts'
import { lowerCall } from '../../../core/backends/cpu/kernels/index.ts'
import { dtypeInfo, type TypedArray } from '../../../core/dtype.ts'
import type { CallKernel } from '../../../core/plan/kernel.ts'
import { numel } from '../../../core/shape.ts'

export interface RunOptions {
  readonly relaxedSimd?: boolean
  /** Units per call, in reverse order; all at once where absent. */
  readonly grain?: number
}

const compiled = new Map<string, WebAssembly.Module>()

function moduleOf(dispatch: Dispatch): WebAssembly.Module {
  let module = compiled.get(dispatch.codeKey)
  if (!module) {
    module = new WebAssembly.Module(dispatch.emit())
    compiled.set(dispatch.codeKey, module)
  }
  return module
}

/**
 * `buffers[i]` is plan buffer i (outputs included: written in place). All of memory is filled with NaN first, so that a
 * read of what nobody wrote shows.
 */
export function runCall(
  kernel: CallKernel,
  buffers: TypedArray[],
  scalars: number[],
  options: RunOptions = {},
): void {
  const { relaxedSimd = true, grain } = options
  let top = 4096
  const allocate = (bytes: number) => {
    const at = top
    top = Math.ceil((top + bytes) / 64) * 64
    return at
  }
  const addresses = buffers.map((b) => allocate(b.byteLength))
  const scratchAt: number[] = []
  const dispatches = lowerCall(kernel, {
    features: { relaxedSimd },
    scratch: (bytes) => scratchAt.push(allocate(bytes)) - 1,
  })
  const argsAt = allocate(1024)
  const localAt = allocate(Math.max(0, ...dispatches.map((d) => d.localBytes ?? 0)))
  const pages = Math.ceil((top + 4096) / 65536)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
  new Uint8Array(memory.buffer).fill(0xff)
  buffers.forEach((b, i) => {
    new Uint8Array(memory.buffer, addresses[i], b.byteLength).set(
      new Uint8Array(b.buffer, b.byteOffset, b.byteLength),
    )
  })
  const view = new DataView(memory.buffer)
  const write = (at: number, word: ArgWord) => {
    if (word.kind === 'float') view.setFloat32(at, word.value, true)
    else if (word.kind === 'int') view.setInt32(at, word.value, true)
    else if (word.kind === 'buffer') view.setInt32(at, addresses[word.buffer] + word.byteOffset, true)
    else if (word.kind === 'scratch') view.setInt32(at, scratchAt[word.scratch] + word.byteOffset, true)
    else if (word.type === 'f32') view.setFloat32(at, scalars[word.slot], true)
    else view.setInt32(at, scalars[word.slot], true)
  }
  for (const dispatch of dispatches) {
    const instance = new WebAssembly.Instance(moduleOf(dispatch), { env: { memory } })
    const run = instance.exports.run as (args: number, start: number, end: number, local: number) => void
    dispatch.args.forEach((word, i) => {
      write(argsAt + 4 * i, word)
    })
    const step = grain ?? dispatch.units
    for (let start = Math.floor((dispatch.units - 1) / step) * step; start >= 0; start -= step)
      run(argsAt, start, Math.min(dispatch.units, start + step), localAt)
  }
  for (const output of kernel.outputs) {
    const target = buffers[output.buffer]
    const bytes = numel(output.shape) * dtypeInfo(output.dtype).deviceBytes
    const from = new Uint8Array(memory.buffer, addresses[output.buffer], bytes)
    new Uint8Array(target.buffer, target.byteOffset, bytes).set(from)
  }
}
