/** Joins neighbouring map kernels over the same elements, so that e.g. an optimizer passes once over its buffers. */
import { address, type Expr, load, rewrite, scalar } from '../expr.ts'
import type { Kernel, KernelScalar, MapKernel, Operand, Store } from './kernel.ts'

/** Buffers that one kernel may touch: WebGPU binds each, and eight is what every device offers. */
const MAX_BUFFERS = 8

const sameOperand = (a: Operand, b: Operand): boolean =>
  a.buffer === b.buffer &&
  a.offset === b.offset &&
  a.offsetSlot?.slot === b.offsetSlot?.slot &&
  a.strides.length === b.strides.length &&
  a.strides.every((s, i) => s === b.strides[i])

const buffersOf = (...kernels: MapKernel[]): Set<number> =>
  new Set(
    kernels
      .flatMap((k) => [...k.loads, ...k.stores.map((s) => s.operand)])
      .flatMap((o) => (o.buffer >= 0 ? [o.buffer] : [])),
  )

/** Whether running `b`'s body right after `a`'s, element by element, gives the same as one kernel after the other. */
function mergeable(a: MapKernel, b: MapKernel): boolean {
  if (a.shape.length !== b.shape.length || a.shape.some((s, d) => s !== b.shape[d])) return false
  if (buffersOf(a, b).size > MAX_BUFFERS) return false
  let related = false
  for (const s of a.stores)
    for (const l of b.loads)
      if (l.buffer === s.operand.buffer) {
        if (!sameOperand(l, s.operand)) return false
        related = true
      }
  for (const s of b.stores) {
    if (a.stores.some((t) => t.operand.buffer === s.operand.buffer)) return false
    if (a.loads.some((l) => l.buffer === s.operand.buffer && !sameOperand(l, s.operand))) return false
  }
  return related || b.loads.some((l) => l.buffer >= 0 && a.loads.some((m) => sameOperand(l, m)))
}

function merge(a: MapKernel, b: MapKernel): MapKernel {
  const loads: Operand[] = [...a.loads]
  const scalars: KernelScalar[] = [...a.scalars]
  const scalarAt = b.scalars.map((s) => {
    const known = scalars.findIndex((t) => t.slot === s.slot && t.type === s.type)
    return known >= 0 ? known : scalars.push(s) - 1
  })
  const stored = b.loads.map((l) => a.stores.find((s) => l.buffer >= 0 && sameOperand(s.operand, l))?.value)
  const loadAt = b.loads.map((l, i) => {
    if (stored[i]) return -1
    const known = loads.findIndex((m) => m.dtype === l.dtype && sameOperand(m, l))
    return known >= 0 ? known : loads.push(l) - 1
  })
  const memo = new Map<Expr, Expr>()
  const moved = (e: Expr): Expr => {
    if (e.op === 'load') return stored[e.value] ?? load(loadAt[e.value], e.type)
    if (e.op === 'address') return address(loadAt[e.value])
    if (e.op === 'scalar') return scalar(scalarAt[e.value], e.type)
    return e
  }
  const stores: Store[] = [
    ...a.stores,
    ...b.stores.map((s) => ({ operand: s.operand, value: rewrite(s.value, moved, memo) })),
  ]
  return { kind: 'map', shape: a.shape, loads, scalars, stores, label: `${a.label} & ${b.label}` }
}

export function mergeMaps(kernels: readonly Kernel[]): Kernel[] {
  const out: Kernel[] = []
  for (const k of kernels) {
    const last = out.at(-1)
    if (k.kind === 'map' && last?.kind === 'map' && mergeable(last, k)) out[out.length - 1] = merge(last, k)
    else out.push(k)
  }
  return out
}
