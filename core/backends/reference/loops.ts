/** Map and reduce kernels, one index after the other. */

import type { Combine, KernelScalar, MapKernel, Operand, ReduceKernel } from '../../plan/kernel.ts'
import { numel } from '../../shape.ts'
import { type ReferenceBuffer, widen } from './memory.ts'
import { type Leaves, Program } from './program.ts'

/** A plan buffer at one run; the offset is in bytes. */
export interface Placed {
  readonly buffer: ReferenceBuffer
  readonly offset: number
}

/** The run-time side of a kernel: where its buffers are and what its scalars hold. */
export interface Run {
  readonly placed: readonly Placed[]
  readonly scalars: readonly number[]
  readonly float64: boolean
}

export const scalarValues = (scalars: readonly KernelScalar[], run: Run): number[] =>
  scalars.map(({ slot, type }) => {
    const x = run.scalars[slot]
    return type === 'i32' ? x | 0 : run.float64 ? x : Math.fround(x)
  })

/** An operand at one run, with the address of the current index. */
class Cursor {
  readonly strides: readonly number[]
  readonly start: number
  address: number
  private readonly elements: ArrayLike<number> & { [i: number]: number }
  private readonly base: number
  private readonly widen: (element: number) => number

  constructor(operand: Operand, run: Run) {
    this.strides = operand.strides
    const { offsetSlot } = operand
    this.start = this.address =
      operand.offset + (offsetSlot ? run.scalars[offsetSlot.slot] * offsetSlot.stride : 0)
    const placed = operand.buffer < 0 ? null : run.placed[operand.buffer]
    const elements = placed?.buffer.elements(operand.dtype) ?? new Int32Array(0)
    this.elements = elements
    this.base = placed ? placed.offset / (elements instanceof Uint16Array ? 2 : 4) : 0
    this.widen = widen(operand.dtype)
  }

  load(): number {
    return this.widen(this.elements[this.base + this.address])
  }
  store(value: number): void {
    this.elements[this.base + this.address] = value
  }
}

/** Calls `visit` at every index in row-major order, with the cursors' addresses set. */
function forEachIndex(
  shape: readonly number[],
  dims: readonly number[],
  cursors: readonly Cursor[],
  visit: () => void,
) {
  if (dims.some((d) => shape[d] === 0)) return
  const walk = (at: number) => {
    if (at === dims.length) return visit()
    const d = dims[at]
    for (let i = 0; i < shape[d]; i++) {
      walk(at + 1)
      for (const c of cursors) c.address += c.strides[d]
    }
    for (const c of cursors) c.address -= shape[d] * c.strides[d]
  }
  walk(0)
}

const leavesOf = (loads: readonly Cursor[], scalars: readonly number[]): Leaves => ({
  load: (operand) => loads[operand].load(),
  address: (operand) => loads[operand].address,
  scalar: (number) => scalars[number],
})

export function compileMap(k: MapKernel, float64: boolean): (run: Run) => void {
  const program = new Program(
    k.stores.map((s) => s.value),
    float64,
  )
  const dims = k.shape.map((_, d) => d)
  return (run) => {
    const loads = k.loads.map((o) => new Cursor(o, run))
    const stores = k.stores.map((s) => new Cursor(s.operand, run))
    const leaves = leavesOf(loads, scalarValues(k.scalars, run))
    forEachIndex(k.shape, dims, [...loads, ...stores], () => {
      program.run(leaves)
      for (let i = 0; i < stores.length; i++) stores[i].store(program.value(i))
    })
  }
}

interface Combiner {
  readonly start: number
  combine(a: number, b: number): number
}

const FLOAT_COMBINERS: Record<Combine, Combiner> = {
  sum: { start: 0, combine: (a, b) => a + b },
  prod: { start: 1, combine: (a, b) => a * b },
  max: { start: -Infinity, combine: (a, b) => Math.max(a, b) },
  min: { start: Infinity, combine: (a, b) => Math.min(a, b) },
}

const INT_COMBINERS: Record<Combine, Combiner> = {
  sum: { start: 0, combine: (a, b) => (a + b) | 0 },
  prod: { start: 1, combine: (a, b) => Math.imul(a, b) },
  max: { start: -0x80000000, combine: (a, b) => Math.max(a, b) },
  min: { start: 0x7fffffff, combine: (a, b) => Math.min(a, b) },
}

/** Floats are combined in float64 and rounded once, at the end. */
export function compileReduce(k: ReduceKernel, float64: boolean): (run: Run) => void {
  if (k.body.type === 'bool') throw new TypeError('[reference] a reduce kernel combines f32 or i32, not bool')
  const { start, combine } = (k.body.type === 'i32' ? INT_COMBINERS : FLOAT_COMBINERS)[k.combine]
  const round = k.body.type === 'f32' && !float64
  const body = new Program([k.body], float64)
  const results = new Program(
    k.stores.map((s) => s.value),
    float64,
  )
  const keptRank = k.shape.length - k.reducedRank
  const dims = k.shape.map((_, d) => d)
  return (run) => {
    const loads = k.loads.map((o) => new Cursor(o, run))
    const stores = k.stores.map((s) => new Cursor(s.operand, run))
    const leaves = leavesOf(loads, scalarValues(k.scalars, run))
    forEachIndex(k.shape, dims.slice(0, keptRank), [...loads, ...stores], () => {
      let acc = start
      forEachIndex(k.shape, dims.slice(keptRank), loads, () => {
        body.run(leaves)
        acc = combine(acc, body.value(0))
      })
      results.run(leaves, round ? Math.fround(acc) : acc)
      for (let i = 0; i < stores.length; i++) stores[i].store(results.value(i))
    })
  }
}

/** Smallest and largest element that an operand touches, or null where it touches none. */
export function extent(
  shape: readonly number[],
  o: Pick<Operand, 'offset' | 'strides'>,
): [number, number] | null {
  if (numel(shape) === 0) return null
  let low = o.offset
  let high = o.offset
  shape.forEach((size, d) => {
    const reach = (size - 1) * o.strides[d]
    if (reach < 0) low += reach
    else high += reach
  })
  return [low, high]
}
