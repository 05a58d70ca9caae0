/**
 * Kernel plans for tests, run on two backends and compared. `callCases()` has every hand-written kernel, `loopCases()` map
 * and reduce kernels; both are the same at every call.
 */
import type { Backend, Binding } from '../../core/backend.ts'
import { dtypeInfo, type TypedArray } from '../../core/dtype.ts'
import { GUARD_BYTES, type KernelCase } from './kernel-plan.ts'

export { callCases } from './kernel-calls.ts'
export { loopCases } from './kernel-loops.ts'
export { type KernelCase, PlanBuilder, type PlanTensor, Random, viewed } from './kernel-plan.ts'

/** Whether the backend has kernels for all calls of the case. */
export const supportsCase = (backend: Backend, c: KernelCase): boolean =>
  c.plan.kernels.every((k) => k.kind !== 'call' || backend.supports(k))

/** All external buffers after a run, guards included. */
export async function runCase(backend: Backend, c: KernelCase): Promise<TypedArray[]> {
  const bindings: Binding[] = c.contents.map(({ data }) => {
    const buffer = backend.allocate(data.byteLength)
    backend.upload(buffer, 0, data)
    return { buffer, offset: GUARD_BYTES }
  })
  const executable = backend.prepare(c.plan)
  try {
    await executable.run(bindings, c.scalars)
    const results: TypedArray[] = []
    for (const [i, { data }] of c.contents.entries()) {
      const into = data.slice()
      await backend.download(bindings[i].buffer, 0, into)
      results.push(into)
    }
    return results
  } finally {
    executable.dispose()
    for (const b of bindings) backend.free(b.buffer)
  }
}

/** Runs a case on both backends and throws, naming the first difference, where they disagree or write where they must not. */
export async function compareBackends(
  c: KernelCase,
  expected: Backend,
  actual: Backend,
  tolerance = c.tolerance,
): Promise<void> {
  const want = await runCase(expected, c)
  const got = await runCase(actual, c)
  c.contents.forEach(({ dtype }, i) => {
    const close = (a: number, b: number) =>
      Object.is(a, b) ||
      a === b ||
      (dtype === 'float32' && Number.isFinite(b) && Math.abs(a - b) <= tolerance * (1 + Math.abs(b)))
    const wrong: number[] = []
    got[i].forEach((x, at) => {
      if (!close(x, want[i][at])) wrong.push(at)
    })
    if (wrong.length === 0) return
    const start = GUARD_BYTES / dtypeInfo(dtype).deviceBytes
    const shown = wrong.slice(0, 5).map((at) => `[${at - start}] ${got[i][at]}, expected ${want[i][at]}`)
    throw new Error(
      `${c.name}: ${actual.name} and ${expected.name} differ in ${wrong.length} elements of binding ${i} (${dtype}): ${shown.join('; ')}`,
    )
  })
}
