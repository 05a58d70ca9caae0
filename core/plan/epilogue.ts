/** Joins maps to the products that they read, so that a product's kernel applies them to what it has just computed. */
import { numel, sameShape } from '../shape.ts'
import {
  type CallKernel,
  type CallOperand,
  forEachOperand,
  type Kernel,
  type MapKernel,
  type Operand,
  type PlanBuffer,
} from './kernel.ts'

export type TakesEpilogue = (product: CallKernel, map: MapKernel) => boolean

/** The map as a loop over [rows, N] of a product, or null where it goes over the elements in another order. */
function byRows(map: MapKernel, product: CallOperand): MapKernel | null {
  const columns = product.shape.at(-1)!
  const shape = [numel(product.shape) / columns, columns]
  if (sameShape(map.shape, shape)) return map
  if (map.shape.length > 1 || map.shape[0] !== shape[0] * columns) return null
  const cut = (o: Operand): Operand => ({ ...o, strides: [o.strides[0] * columns, o.strides[0]] })
  const stores = map.stores.map((s) => ({ ...s, operand: cut(s.operand) }))
  return { ...map, shape, loads: map.loads.map(cut), stores }
}

/** Whether a load is the product's element at the loop's index. */
const isElement = (o: Operand, { strides, shape }: CallOperand): boolean =>
  o.offset === 0 && o.strides[1] === 1 && (o.strides[0] === strides.at(-2) || numel(shape) === shape.at(-1))

/** The map in the form of the product's epilogue, or null where the product cannot have it. */
function fitted(product: CallKernel, map: MapKernel): MapKernel | null {
  const [out] = product.outputs
  const rows = byRows(map, out)
  if (!rows) return null
  if (rows.loads.some((o) => o.buffer === out.buffer && !isElement(o, out))) return null
  // other pieces of the product still read its operands
  const read = (buffer: number) => buffer === out.buffer || product.inputs.some((o) => o.buffer === buffer)
  return rows.stores.some((s) => read(s.operand.buffer)) ? null : rows
}

/** Which kernels touch each buffer, and which write it, in order. */
function usesOf(kernels: readonly Kernel[], buffers: number) {
  const touched: number[][] = Array.from({ length: buffers }, () => [])
  const written: number[][] = Array.from({ length: buffers }, () => [])
  for (const [at, k] of kernels.entries())
    forEachOperand(k, ({ buffer }, isWritten) => {
      if (buffer < 0) return
      if (touched[buffer].at(-1) !== at) touched[buffer].push(at)
      if (isWritten && written[buffer].at(-1) !== at) written[buffer].push(at)
    })
  return { touched, written }
}

interface Candidate {
  readonly product: number
  readonly at: number
  /** In the form of an epilogue. */
  readonly map: MapKernel
}

/** Maps that their last product would take, in order. */
function candidatesOf(kernels: readonly Kernel[], buffers: number, takes: TakesEpilogue): Candidate[] {
  const candidates: Candidate[] = []
  // the last kernel that writes a buffer
  const writers = new Int32Array(buffers).fill(-1)
  const isProduct = (k: Kernel | undefined) => k?.kind === 'call' && k.name === 'matmul'
  for (let at = 0; at < kernels.length; at++) {
    const k = kernels[at]
    if (k.kind === 'map') {
      let product = -1
      for (const { buffer } of k.loads)
        if (buffer >= 0 && writers[buffer] > product && isProduct(kernels[writers[buffer]]))
          product = writers[buffer]
      const map = product < 0 ? null : fitted(kernels[product] as CallKernel, k)
      if (map && takes(kernels[product] as CallKernel, map)) candidates.push({ product, at, map })
    }
    forEachOperand(k, ({ buffer }, isWritten) => {
      if (isWritten && buffer >= 0) writers[buffer] = at
    })
  }
  return candidates
}

/**
 * A map joins the last product that it reads, if one of them may be moved to the place of the other: nothing in between
 * writes what it reads, or touches what it writes. The product goes to memory only where somebody else wants it.
 */
export function joinEpilogues(
  kernels: readonly Kernel[],
  buffers: readonly PlanBuffer[],
  takes: TakesEpilogue,
): readonly Kernel[] {
  const candidates = candidatesOf(kernels, buffers.length, takes)
  if (candidates.length === 0) return kernels
  const out: (Kernel | null)[] = [...kernels]
  const { touched, written } = usesOf(kernels, buffers.length)
  /** Where kernels are now. */
  const place = kernels.map((_, i) => i)

  /** Whether a kernel may as well run anywhere between two places, apart from what `except` does. */
  const isFree = (k: Kernel, from: number, to: number, except: number): boolean => {
    let free = true
    forEachOperand(k, ({ buffer }, isWritten) => {
      if (buffer < 0 || !free) return
      free = !(isWritten ? touched : written)[buffer].some(
        (i) => i !== except && place[i] > from && place[i] < to,
      )
    })
    return free
  }

  for (const { product: last, at, map } of candidates) {
    const from = place[last]
    const product = out[from] as CallKernel
    if (product.epilogue) continue
    const isUp = isFree(kernels[at], from, at, last)
    if (!isUp && !isFree(product, from, at, at)) continue
    const { buffer } = product.outputs[0]
    const keepsProduct = buffers[buffer].kind === 'external' || touched[buffer].length > 2
    const to = isUp ? from : at
    out[from] = null
    out[at] = null
    out[to] = { ...product, label: `${product.label} & ${map.label}`, epilogue: { map, keepsProduct } }
    place[last] = to
    place[at] = to
  }
  return out.filter((k) => k !== null)
}
