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

/**
 * A map joins the last product that it reads, if one of them may be moved to the place of the other: nothing in between
 * writes what it reads, or touches what it writes. The product goes to memory only where somebody else wants it.
 */
export function joinEpilogues(
  kernels: readonly Kernel[],
  buffers: readonly PlanBuffer[],
  takes: TakesEpilogue,
): Kernel[] {
  const products = new Int32Array(buffers.length).fill(-1)
  let isWorthALook = false
  for (const [at, k] of kernels.entries())
    if (k.kind === 'call' && k.name === 'matmul') products[k.outputs[0].buffer] = at
    else if (k.kind === 'map' && !isWorthALook)
      isWorthALook = k.loads.some(({ buffer }) => {
        const product = buffer < 0 || products[buffer] < 0 ? null : (kernels[products[buffer]] as CallKernel)
        const map = product && fitted(product, k)
        return map !== null && takes(product!, map)
      })
  if (!isWorthALook) return [...kernels]

  const { touched, written } = usesOf(kernels, buffers.length)
  const out: (Kernel | null)[] = [...kernels]
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

  const isProduct = (k: Kernel | null): boolean => k?.kind === 'call' && k.name === 'matmul' && !k.epilogue
  /** The last product that a map reads, or -1. */
  const lastProduct = (map: MapKernel, at: number): number => {
    let last = -1
    for (const { buffer } of map.loads) {
      if (buffer < 0) continue
      const writer = written[buffer].findLast((i) => i < at) ?? -1
      if (writer > last && isProduct(out[place[writer]])) last = writer
    }
    return last
  }

  for (const [at, k] of kernels.entries()) {
    if (k.kind !== 'map') continue
    const last = lastProduct(k, at)
    if (last < 0) continue
    const from = place[last]
    const product = out[from] as CallKernel
    const map = fitted(product, k)
    if (!map) continue
    const isUp = isFree(k, from, at, last)
    if (!isUp && !isFree(product, from, at, at)) continue
    if (!takes(product, map)) continue
    const { buffer } = product.outputs[0]
    const keepsProduct = buffers[buffer].kind === 'external' || touched[buffer].length > 2
    const to = isUp ? from : at
    out[from] = null
    out[at] = null
    out[to] = { ...product, label: `${product.label} & ${k.label}`, epilogue: { map, keepsProduct } }
    place[last] = to
    place[at] = to
  }
  return out.filter((k) => k !== null)
}
