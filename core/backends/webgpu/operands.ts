/** Operands of map and reduce kernels in WGSL: bindings, addresses, loads and stores. */
import type { DType } from '../../dtype.ts'
import type { KernelScalar, Operand, PlanBuffer, Store } from '../../plan/kernel.ts'
import {
  type BufferUse,
  int,
  type ParamWord,
  slotOf,
  unionWindow,
  type Window,
  windowOf,
} from './dispatch.ts'

export interface LoopOperands {
  readonly shape: readonly number[]
  readonly loads: readonly Operand[]
  readonly stores: readonly Store[]
  readonly scalars: readonly KernelScalar[]
}

/**
 * The buffers of a loop, each bound once: a buffer that is read and written is bound read_write and loaded through that.
 * Every binding is an array of u32 words, so that operands of different dtypes may share one.
 */
export class LoopBindings {
  readonly buffers: readonly BufferUse[]
  /** Which operands share a buffer: part of the code's key. */
  readonly pattern: string
  private readonly loop: LoopOperands
  private readonly bindingOf = new Map<number, number>()

  /** @param buffers of the plan: how far a store whose offset is a slot may reach */
  constructor(loop: LoopOperands, buffers: readonly PlanBuffer[]) {
    this.loop = loop
    const windows: { buffer: number; window: Window; written: boolean }[] = []
    const add = (o: Operand, written: boolean) => {
      if (o.buffer < 0) return
      const fixed = windowOf(loop.shape, o.strides, o.offset, o.dtype)
      const window = o.offsetSlot ? { ...fixed, bytes: buffers[o.buffer].bytes - fixed.byteOffset } : fixed
      const at = this.bindingOf.get(o.buffer)
      if (at === undefined) {
        this.bindingOf.set(o.buffer, windows.length)
        windows.push({ buffer: o.buffer, window, written })
      } else {
        windows[at].window = unionWindow(windows[at].window, window)
        windows[at].written ||= written
      }
    }
    for (const o of loop.loads) add(o, false)
    for (const s of loop.stores) add(s.operand, true)
    this.buffers = windows.map(({ buffer, window, written }, i) => ({
      name: `b${i}`,
      buffer,
      element: 'u32',
      access: written ? 'read_write' : 'read',
      ...window,
    }))
    const shared = [...loop.loads, ...loop.stores.map((s) => s.operand)].map((o) =>
      o.buffer < 0 ? '-' : this.bindingOf.get(o.buffer),
    )
    const moving = loop.stores.map((s) => (s.operand.offsetSlot ? 'm' : '')).join(',')
    this.pattern = `${shared.join(',')}${moving}/${windows.map((w) => (w.written ? 'w' : 'r')).join('')}`
  }

  /** Largest binding in bytes. */
  get largest(): number {
    return Math.max(0, ...this.buffers.map((b) => b.bytes))
  }

  /** Offsets (relative to the bound window), strides and scalars, named as `address` and `scalar` spell them. */
  params(): Record<string, ParamWord> {
    const params: Record<string, ParamWord> = {}
    const addOperand = (o: Operand, name: string) => {
      const use = o.buffer < 0 ? undefined : this.buffers[this.bindingOf.get(o.buffer) as number]
      const size = o.dtype === 'float16' || o.dtype === 'bfloat16' ? 2 : 4
      params[`${name}o`] = int(o.offset - (use ? use.byteOffset / size : 0))
      o.strides.forEach((s, d) => {
        params[`${name}s${d}`] = int(s)
      })
      if (!o.offsetSlot) return
      params[`${name}at`] = slotOf({ slot: o.offsetSlot.slot, type: 'i32' })
      params[`${name}step`] = int(o.offsetSlot.stride)
    }
    this.loop.loads.forEach((o, i) => {
      addOperand(o, `l${i}`)
    })
    this.loop.stores.forEach((s, i) => {
      addOperand(s.operand, `w${i}`)
    })
    this.loop.scalars.forEach((s, i) => {
      params[`c${i}`] = slotOf(s)
    })
    return params
  }

  /** `index(d)` is the WGSL of the index of dimension d, or null where it does not matter. */
  private addressOf(o: Operand, name: string, index: (d: number) => string | null): string {
    const terms = [`p.${name}o`]
    if (o.offsetSlot) terms.push(`p.${name}at * p.${name}step`)
    const rank = o.strides.length
    o.strides.forEach((stride, d) => {
      const x = index(d)
      if (x === null) return
      // only the innermost stride's being 0 or 1 is part of the structure
      if (d === rank - 1 && (stride === 0 || stride === 1)) {
        if (stride === 1) terms.push(x)
      } else terms.push(`${x} * p.${name}s${d}`)
    })
    return terms.join(' + ')
  }

  private word(o: Operand, index: string): string {
    return `b${this.bindingOf.get(o.buffer)}[${index}]`
  }

  address(operand: number, index: (d: number) => string | null): string {
    return this.addressOf(this.loop.loads[operand], `l${operand}`, index)
  }

  /** An expression of the operand's register type. */
  load(operand: number, index: (d: number) => string | null): string {
    const o = this.loop.loads[operand]
    return loadWord(o.dtype, (i) => this.word(o, i), this.address(operand, index))
  }

  /** A statement that writes `value`, `shift` elements further on. */
  store(store: number, value: string, index: (d: number) => string | null, shift?: string): string {
    const { operand } = this.loop.stores[store]
    const address = this.addressOf(operand, `w${store}`, index)
    const target = this.word(operand, shift ? `${address} + ${shift}` : address)
    const bits = operand.dtype === 'bool' ? `select(0u, 1u, ${value})` : `bitcast<u32>(${value})`
    return `    ${target} = ${bits};`
  }
}

/** Reads element `address` of an array of u32 words that holds `dtype`. */
export function loadWord(dtype: DType, word: (index: string) => string, address: string): string {
  switch (dtype) {
    case 'float32':
      return `bitcast<f32>(${word(address)})`
    case 'int32':
      return `bitcast<i32>(${word(address)})`
    case 'bool':
      return `${word(address)} != 0u`
    case 'float16':
      return `halfAt(${word(`(${address}) >> 1u`)}, ${address})`
    case 'bfloat16':
      return `bfloatAt(${word(`(${address}) >> 1u`)}, ${address})`
  }
}

/** Declares `x<d>` (i32), the indices of dimensions `first` up to `end` (exclusive), from the row-major number `linear`. */
export function decomposeIndex(linear: string, first: number, end: number): string {
  const lines = [`  var rest = u32(${linear});`]
  for (let d = end - 1; d > first; d--) {
    lines.push(`  let x${d} = i32(rest % u32(p.n${d})); rest = rest / u32(p.n${d});`)
  }
  if (end > first) lines.push(`  let x${first} = i32(rest);`)
  return lines.join('\n')
}

/** The loop restricted to `length` indices of one dimension from `start`. */
export function sliceLoop<K extends LoopOperands>(k: K, dim: number, start: number, length: number): K {
  const slice = (o: Operand): Operand => ({ ...o, offset: o.offset + start * o.strides[dim] })
  return {
    ...k,
    shape: k.shape.with(dim, length),
    loads: k.loads.map(slice),
    stores: k.stores.map((s) => ({ ...s, operand: slice(s.operand) })),
  }
}

/** Where to cut a loop whose operands do not bind whole: the outermost of the first `dims` dimensions that can be halved. */
export const splitDim = (shape: readonly number[], dims: number): number =>
  shape.findIndex((n, d) => d < dims && n > 1)

export const sizeLabel = (shape: readonly number[]): string => `[${shape.join(',')}]`
