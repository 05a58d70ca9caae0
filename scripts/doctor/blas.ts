/** Which system BLAS computes large matrix products, and whether it is worth it. */
import type { Blas, BlasSetting } from '../../core/backends/cpu/blas/library.ts'
import { findBlas, loadKoffi } from '../../core/backends/cpu/blas/node-library.ts'
import { createCpuBackend } from '../../core/backends/cpu/index.ts'
import type { KernelPlan } from '../../core/plan/kernel.ts'
import type { Check } from './check.ts'

const HOW_TO_GET: Partial<Record<NodeJS.Platform, string>> = {
  linux:
    'install OpenBLAS: apt install libopenblas0-pthread (Debian, Ubuntu), dnf install openblas-threads (Fedora), pacman -S openblas (Arch), apk add openblas (Alpine); or give the one inside a numpy: TUNESMITH_BLAS=.../numpy.libs/libscipy_openblas64_....so',
  darwin: 'macOS brings Accelerate: reinstall without --omit=optional, so that koffi is there to call it',
  win32:
    'unpack a release of OpenBLAS (github.com/OpenMathLib/OpenBLAS) and set TUNESMITH_BLAS to the path of its libopenblas.dll',
}
const NO_KOFFI = 'npm install koffi (an optional dependency, left out by --omit=optional)'

const SIZE = 768
const MILLISECONDS = 300

/** GFLOP/s of products of 768 x 768 matrices on all threads, the best of many. */
async function measure(blas: BlasSetting): Promise<number> {
  const backend = createCpuBackend({ blas })
  try {
    await backend.startWorkers()
    const shape = [SIZE, SIZE]
    const bytes = 4 * SIZE * SIZE
    const operand = (buffer: number) =>
      ({ buffer, dtype: 'float32', shape, strides: [SIZE, 1], offset: 0 }) as const
    const plan: KernelPlan = {
      kernels: [
        {
          kind: 'call',
          name: 'matmul',
          inputs: [operand(0), operand(1)],
          outputs: [operand(2)],
          attrs: { bias: false },
          scalars: [],
          label: 'matmul',
        },
      ],
      buffers: [0, 1, 2].map((binding) => ({ kind: 'external', bytes, binding, written: binding === 2 })),
      scalarCount: 0,
    }
    const bindings = plan.buffers.map(() => ({ buffer: backend.allocate(bytes), offset: 0 }))
    const values = Float32Array.from({ length: SIZE * SIZE }, (_, i) => ((i * 7919) % 1000) / 1000)
    for (const { buffer } of bindings) backend.upload(buffer, 0, values)
    const executable = backend.prepare(plan)
    let best = Number.POSITIVE_INFINITY
    const end = performance.now() + MILLISECONDS
    while (performance.now() < end) {
      const start = performance.now()
      await executable.run(bindings, [])
      best = Math.min(best, performance.now() - start)
    }
    return (2 * SIZE ** 3) / best / 1e6
  } finally {
    await backend.shutdown()
  }
}

function describe(blas: Blas): string {
  const replaced = blas.replacedCore ? ` in place of ${blas.replacedCore}, which it had chosen` : ''
  return `${blas.name}${blas.core ? ` (${blas.core} kernels${replaced})` : ''} at ${blas.path}`
}

export async function checkBlas(): Promise<Check> {
  const name = 'BLAS'
  const setting = process.env.TUNESMITH_BLAS || 'auto'
  const without = 'matrix products run on kernels of our own'
  if (setting === 'off')
    return {
      name,
      status: 'note',
      detail: `TUNESMITH_BLAS=off: ${without}`,
      advice: 'unset it to look for one',
    }
  let blas: Blas | null
  try {
    blas = findBlas(setting)
  } catch (error) {
    const advice = 'give the path of an OpenBLAS or MKL library, or unset TUNESMITH_BLAS'
    return { name, status: 'problem', detail: (error as Error).message, advice }
  }
  if (!blas) {
    const detail = `none found: ${without}, at ${(await measure('off')).toFixed(0)} GFLOP/s`
    return { name, status: 'note', detail, advice: loadKoffi() ? HOW_TO_GET[process.platform] : NO_KOFFI }
  }
  const [ours, theirs] = [await measure('off'), await measure(setting)]
  const detail = `${describe(blas)}: ${theirs.toFixed(0)} GFLOP/s, kernels of our own ${ours.toFixed(0)} (float32, ${SIZE} x ${SIZE})`
  if (theirs >= ours) return { name, status: 'fine', detail }
  return { name, status: 'note', detail, advice: 'TUNESMITH_BLAS=off is faster here' }
}
