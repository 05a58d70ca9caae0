/** The order in which the cpu runs a plan's kernels: products that do not depend on each other run side by side. */
import { forEachOperand, type Kernel } from '../../plan/kernel.ts'

/** Kernels after the first of a stage among which its others are looked for. */
const WINDOW = 8
/** Multiplications of a product up to which its start and end weigh something: about a millisecond. */
const SHORT = 1e8

/** Whether a kernel may share a stage: a short matrix product. */
export function isShortProduct(k: Kernel): boolean {
  if (k.kind !== 'call' || k.name !== 'matmul') return false
  const inner = k.inputs[0].shape.at(-1)!
  return k.outputs[0].shape.reduce((n, size) => n * size, inner) <= SHORT
}

/** Buffers that a kernel touches: few, so that lists are faster than sets. */
interface Touched {
  readonly read: number[]
  readonly written: number[]
}

function touchedBy(kernel: Kernel): Touched {
  const touched: Touched = { read: [], written: [] }
  forEachOperand(kernel, ({ buffer }, isWritten) => {
    if (buffer >= 0) touched[isWritten ? 'written' : 'read'].push(buffer)
  })
  return touched
}

function meet(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (b.includes(a[i])) return true
  return false
}

const isIndependent = (a: Touched, b: Touched): boolean =>
  !meet(a.written, b.written) && !meet(a.written, b.read) && !meet(a.read, b.written)

/**
 * Numbers of the kernels, stage by stage: those of one stage may run at the same time, and every kernel comes after all that it
 * depends on. A short product (`mayJoin`) joins the stage of an earlier one if it does not depend on what lies between: a layer's
 * queries, keys and values, gate and up.
 */
export function stagesOf(kernels: readonly Kernel[], mayJoin: (index: number) => boolean): number[][] {
  const placed = new Uint8Array(kernels.length)
  const known: (Touched | undefined)[] = new Array(kernels.length)
  const touched = (i: number): Touched => (known[i] ??= touchedBy(kernels[i]))
  const stages: number[][] = []
  for (let i = 0; i < kernels.length; i++) {
    if (placed[i] === 1) continue
    const stage = [i]
    stages.push(stage)
    if (!mayJoin(i)) continue
    const before = [touched(i)]
    for (let j = i + 1; j < Math.min(kernels.length, i + 1 + WINDOW); j++) {
      if (placed[j] === 1) continue
      const mine = touched(j)
      if (mayJoin(j) && before.every((other) => isIndependent(other, mine))) {
        stage.push(j)
        placed[j] = 1
      }
      before.push(mine)
    }
  }
  return stages
}
