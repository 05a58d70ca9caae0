/** Joins map kernels over the same elements, so that e.g. an optimizer passes once over its buffers. */
import { address, type Expr, load, rewrite, scalar } from '../expr.ts'
import { sameShape } from '../shape.ts'
import {
  forEachOperand,
  type Kernel,
  type KernelScalar,
  type MapKernel,
  type Operand,
  type Store,
} from './kernel.ts'

/** Buffers that one kernel may touch: WebGPU binds each, and eight is what every device offers. */
const MAX_BUFFERS = 8

const sameOperand = (a: Operand, b: Operand): boolean =>
  a.buffer === b.buffer &&
  a.offset === b.offset &&
  a.offsetSlot?.slot === b.offsetSlot?.slot &&
  sameShape(a.strides, b.strides)

function countBuffers(a: MapKernel, b: MapKernel): number {
  const seen: number[] = []
  const add = (o: Operand) => {
    if (o.buffer >= 0 && !seen.includes(o.buffer)) seen.push(o.buffer)
  }
  for (const k of [a, b]) {
    for (const o of k.loads) add(o)
    for (const s of k.stores) add(s.operand)
  }
  return seen.length
}

/** Whether running `b`'s body right after `a`'s, element by element, gives the same as one kernel after the other. */
function mergeable(a: MapKernel, b: MapKernel): boolean {
  if (!sameShape(a.shape, b.shape)) return false
  let related = false
  for (const s of a.stores)
    for (const l of b.loads)
      if (l.buffer === s.operand.buffer) {
        if (!sameOperand(l, s.operand)) return false
        related = true
      }
  for (const s of b.stores) {
    // the later of two writes wins, so it must be the one that stays
    if (a.stores.some((t) => t.operand.buffer === s.operand.buffer && !sameOperand(t.operand, s.operand)))
      return false
    if (a.loads.some((l) => l.buffer === s.operand.buffer && !sameOperand(l, s.operand))) return false
  }
  // a number that both read for all their elements is no reason
  const varies = (o: Operand) => o.buffer >= 0 && o.strides.some((s) => s !== 0)
  related ||= b.loads.some((l) => varies(l) && a.loads.some((m) => sameOperand(l, m)))
  return related && countBuffers(a, b) <= MAX_BUFFERS
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
    ...a.stores.filter((s) => !b.stores.some((t) => sameOperand(s.operand, t.operand))),
    ...b.stores.map((s) => ({ operand: s.operand, value: rewrite(s.value, moved, memo) })),
  ]
  const label = `${a.label} & ${b.label}`
  return { kind: 'map', shape: a.shape, loads, scalars, stores, label, origin: a.origin }
}

/**
 * A map joins the last kernel that it depends on, where that is a map over the same elements: nothing in between touches
 * what it writes or writes what it reads, so it may as well run earlier.
 */
export function mergeMaps(kernels: readonly Kernel[], buffers: number): Kernel[] {
  const out: Kernel[] = []
  // the last kernel of `out` that writes a buffer, and that touches it at all
  const written = new Int32Array(buffers).fill(-1)
  const touched = new Int32Array(buffers).fill(-1)
  const note = (k: Kernel, at: number) =>
    forEachOperand(k, ({ buffer }, isWritten) => {
      if (buffer < 0) return
      if (touched[buffer] < at) touched[buffer] = at
      if (isWritten && written[buffer] < at) written[buffer] = at
    })
  const dependsOn = (k: MapKernel): number => {
    let last = -1
    for (const l of k.loads) if (l.buffer >= 0) last = Math.max(last, written[l.buffer])
    for (const s of k.stores) last = Math.max(last, touched[s.operand.buffer])
    return last
  }
  const joins = (at: number, k: MapKernel): boolean => {
    const earlier = out[at]
    return earlier?.kind === 'map' && mergeable(earlier, k)
  }
  for (const k of kernels) {
    let at = out.length
    if (k.kind === 'map') {
      const needed = dependsOn(k)
      const candidate = joins(needed, k) ? needed : joins(out.length - 1, k) ? out.length - 1 : -1
      if (candidate >= 0) {
        at = candidate
        out[at] = merge(out[at] as MapKernel, k)
      }
    }
    if (at === out.length) out.push(k)
    note(k, at)
  }
  return out
}
