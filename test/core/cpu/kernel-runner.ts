/**
 * A backend for tests of single kernels: runs the dispatches of hand-written kernels on one thread, with the units split
 * and ordered as several threads might take them.
 */
import type { Backend, Binding, DeviceBuffer } from '../../../core/backend.ts'
import { type ArgWord, type Dispatch, wordsOf } from '../../../core/backends/cpu/dispatch.ts'
import { lowerCall, supportsCall } from '../../../core/backends/cpu/kernels/index.ts'
import { compileWide } from '../../../core/backends/cpu/node-compile.ts'
import { hasWideSimd } from '../../../core/backends/cpu/wide-simd.ts'
import type { TypedArray } from '../../../core/dtype.ts'
import type { CallKernel, KernelPlan } from '../../../core/plan/kernel.ts'

export interface RunOptions {
  readonly relaxedSimd?: boolean
  /** Where the machine has 256-bit vectors: true unless given. */
  readonly wideSimd?: boolean
  /** Units per call, in reverse order; all at once where absent. */
  readonly grain?: number
}

const compiled = new Map<string, WebAssembly.Module>()

function moduleOf(dispatch: Dispatch): WebAssembly.Module {
  let module = compiled.get(dispatch.codeKey)
  if (!module) {
    const bytes = dispatch.emit().bytes()
    module = dispatch.wide ? compileWide(bytes) : new WebAssembly.Module(bytes)
    compiled.set(dispatch.codeKey, module)
  }
  return module
}

class Allocation implements DeviceBuffer {
  readonly bytes: number
  readonly address: number

  constructor(bytes: number, address: number) {
    this.bytes = bytes
    this.address = address
  }
}

const ARGUMENTS = 1024
/** One memory for all runs; what is not written is NaN, so that a read of it shows. */
const memory = new WebAssembly.Memory({ initial: 128, maximum: 65536, shared: true })

export function singleThreadBackend(options: RunOptions = {}): Backend {
  const { relaxedSimd = true, wideSimd = true, grain } = options
  let top = 4096
  new Uint8Array(memory.buffer).fill(0xff)
  const allocate = (bytes: number) => {
    const at = top
    top = Math.ceil((top + bytes) / 64) * 64
    if (top > memory.buffer.byteLength)
      throw new RangeError(`[test] ${bytes} bytes do not fit the test's memory`)
    return new Allocation(bytes, at)
  }

  const runCall = (kernel: CallKernel, bindings: readonly number[], scalars: readonly number[]) => {
    const scratch: number[] = []
    const dispatches = lowerCall(kernel, {
      features: { relaxedSimd, wideSimd: relaxedSimd && wideSimd && hasWideSimd() },
      scratch: (bytes) => scratch.push(allocate(bytes).address) - 1,
    })
    const local = allocate(Math.max(0, ...dispatches.map((d) => d.localBytes ?? 0))).address
    const view = new DataView(memory.buffer)
    const write = (at: number, word: ArgWord) => {
      if (word.kind === 'float') view.setFloat32(at, word.value, true)
      else if (word.kind === 'int' || word.kind === 'bytes') view.setInt32(at, word.value, true)
      else if (word.kind === 'buffer') view.setInt32(at, bindings[word.buffer] + word.byteOffset, true)
      else if (word.kind === 'scratch') view.setInt32(at, scratch[word.scratch] + word.byteOffset, true)
      else if (word.type === 'f32') view.setFloat32(at, scalars[word.slot], true)
      else view.setInt32(at, scalars[word.slot], true)
    }
    for (const dispatch of dispatches) {
      const { exports } = new WebAssembly.Instance(moduleOf(dispatch), { env: { memory } })
      const run = exports.run as (args: number, start: number, end: number, local: number) => void
      let at = ARGUMENTS
      for (const word of dispatch.args) {
        write(at, word)
        at += 4 * wordsOf(word)
      }
      const step = Math.max(1, grain ?? dispatch.units)
      for (let start = (Math.ceil(dispatch.units / step) - 1) * step; start >= 0; start -= step)
        run(ARGUMENTS, start, Math.min(dispatch.units, start + step), local)
    }
  }

  const bytesOf = (buffer: DeviceBuffer, byteOffset: number, array: TypedArray) =>
    new Uint8Array(memory.buffer, (buffer as Allocation).address + byteOffset, array.byteLength)
  const hostBytes = (array: TypedArray) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

  return {
    name: 'cpu',
    description: 'kernels on one thread',
    synchronous: true,
    supports: supportsCall,
    allocate,
    free: () => {},
    upload: (buffer, byteOffset, data) => bytesOf(buffer, byteOffset, data).set(hostBytes(data)),
    download: async (buffer, byteOffset, into) => hostBytes(into).set(bytesOf(buffer, byteOffset, into)),
    prepare: (plan: KernelPlan) => ({
      arenaBytes: 0,
      run: async (bindings: readonly Binding[], scalars: readonly number[]) => {
        const addresses = plan.buffers.map((b) => {
          if (b.kind === 'temp') return allocate(b.bytes).address
          const { buffer, offset } = bindings[b.binding]
          return (buffer as Allocation).address + offset
        })
        for (const kernel of plan.kernels) {
          if (kernel.kind !== 'call') throw new Error('[test] only hand-written kernels run here')
          runCall(kernel, addresses, scalars)
        }
      },
      dispose: () => {},
    }),
    memory: () => ({ arena: 0, buffers: top, reserved: top }),
    trim: () => {},
    shutdown: async () => {},
  }
}
