/** From the pending graph to kernels over numbered buffers. */
import type { Backend } from '../backend.ts'
import { dtypeInfo } from '../dtype.ts'
import { acc, constant, type Expr } from '../expr.ts'
import type { Node, Value } from '../graph.ts'
import {
  type AssembleOp,
  type CallOp,
  type ReduceEachOp,
  type ReduceOp,
  scalarType,
  type UpdateOp,
} from '../op.ts'
import { contiguousStrides, numel } from '../shape.ts'
import { contiguousView, isContiguous, sliceView, type View } from '../view.ts'
import { Analysis, callView, isPending, throughViews } from './analyze.ts'
import { lifetimesOf } from './arena.ts'
import { joinEpilogues } from './epilogue.ts'
import type { PendingGraph } from './graph-key.ts'
import type { CallOperand, Combine, Kernel, KernelPlan, Operand, PlanBuffer } from './kernel.ts'
import { collapse, LoopBuilder, type LoopContext, NeedsStorage, type Place, toOperand } from './loop.ts'
import { mergeMaps } from './merge.ts'
import { isPartial, Overwrites } from './overwrites.ts'

export interface LowerOptions {
  /** Kernels say which node they compute. */
  readonly origins?: boolean
  /** Says which joins its kernels can do. */
  readonly backend?: Pick<Backend, 'takesEpilogue'>
}

/** Plans a graph. Values that turn out to need memory are added until every kernel can be built. */
export function lower(graph: PendingGraph, options: LowerOptions = {}): KernelPlan {
  const forced = new Set<Value>()
  for (;;) {
    try {
      return new Lowering(graph, forced).run(options)
    } catch (e) {
      if (!(e instanceof NeedsStorage) || forced.has(e.value)) throw e
      forced.add(e.value)
    }
  }
}

class Lowering implements LoopContext {
  private readonly graph: PendingGraph
  private readonly analysis: Analysis
  private readonly overwrites: Overwrites
  private readonly buffers: PlanBuffer[] = []
  private readonly kernels: Kernel[] = []
  /** Where computed values are, by their number. */
  private readonly places: (Place | undefined)[] = []
  /** The first slot of each node's scalars. */
  private readonly slots: Int32Array

  constructor(graph: PendingGraph, forced: ReadonlySet<Value>) {
    this.graph = graph
    this.analysis = new Analysis(graph, forced)
    this.overwrites = new Overwrites(graph, this.analysis)
    for (const [i, e] of graph.externals.entries()) {
      const { shape, dtype } = e.kind === 'state' ? e.state : e.value
      const bytes = numel(shape) * dtypeInfo(dtype).deviceBytes
      this.buffers.push({ kind: 'external', bytes, binding: i, written: e.kind === 'root' })
    }
    this.slots = new Int32Array(graph.nodes.length)
    let slot = 0
    for (let i = 0; i < graph.nodes.length; i++) {
      this.slots[i] = slot
      slot += graph.nodes[i].scalars.length
    }
  }

  run({ origins, backend }: LowerOptions): KernelPlan {
    for (const node of this.graph.nodes) {
      const first = this.kernels.length
      this.emit(node)
      if (origins) for (let k = first; k < this.kernels.length; k++) this.kernels[k].origin = node.position
    }
    const merged = mergeMaps(this.kernels, this.buffers.length)
    const kernels = backend?.takesEpilogue
      ? joinEpilogues(merged, this.buffers, (product, map) => backend.takesEpilogue!(product, map))
      : merged
    markLifetimes(kernels, this.buffers)
    return { kernels, buffers: this.buffers, scalarCount: this.graph.scalars.length }
  }

  slotOf(node: Node): number {
    return this.slots[node.position]
  }

  place(value: Value): Place | null {
    const { storage } = value
    if (!storage) return (isPending(value) ? this.places[this.analysis.numberOf(value)] : undefined) ?? null
    const id = storage.kind === 'state' ? storage.state : value
    return { buffer: this.graph.externalOf.get(id)!, dtype: value.dtype }
  }

  private put(value: Value, buffer: number): Place {
    const place = { buffer, dtype: value.dtype }
    if (isPending(value)) this.places[this.analysis.numberOf(value)] = place
    return place
  }

  private temporary(value: Value): number {
    const bytes = numel(value.shape) * dtypeInfo(value.dtype).deviceBytes
    return this.buffers.push({ kind: 'temp', bytes, firstUse: -1, lastUse: -1 }) - 1
  }

  /** The buffer into which a stored value is computed. */
  private allocate(value: Value): Place {
    const external = this.graph.externalOf.get(this.overwrites.targetOf(value) ?? value)
    return this.put(value, external ?? this.temporary(value))
  }

  private emit(node: Node): void {
    const { op } = node
    if (op.kind === 'call') this.emitCall(node, op)
    else if (op.kind === 'reduce') this.emitReduce(node, op)
    else if (op.kind === 'reduceEach') this.emitReduceEach(node, op)
    else if (op.kind === 'assemble') this.emitAssemble(node, op)
    else if (op.kind === 'assign') this.emitAssign(node)
    else if (op.kind === 'update') this.emitUpdate(node, op)
    else if (this.analysis.isStored(node.outputs[0])) this.emitMap(node)
  }

  private emitMap(node: Node): void {
    const out = node.outputs[0]
    const loop = new LoopBuilder(this)
    const value = loop.build(out, null)
    this.pushMap(loop, out, this.allocate(out).buffer, contiguousView(out.shape), value)
  }

  private pushMap(
    loop: LoopBuilder,
    out: Value,
    buffer: number,
    store: View,
    value: Expr,
    offsetSlot?: Operand['offsetSlot'],
  ): void {
    if (numel(out.shape) === 0) return
    const c = collapse(out.shape, [...loop.loads.map((l) => l.view), store], [out.shape.map((_, d) => d)])
    const target = { ...toOperand({ buffer, dtype: out.dtype, view: store }, c.operands.at(-1)!), offsetSlot }
    this.kernels.push({
      kind: 'map',
      shape: c.shape,
      loads: loop.loads.map((l, i) => toOperand(l, c.operands[i])),
      scalars: loop.scalars,
      stores: [{ operand: target, value }],
      label: loop.label,
    })
  }

  private emitReduce(node: Node, op: ReduceOp): void {
    const [input] = node.inputs
    const out = node.outputs[0]
    const loop = new LoopBuilder(this)
    const body = loop.build(input, null)
    const place = this.allocate(out)
    if (numel(out.shape) === 0) return
    const dims = node.attrs.dims as readonly number[]
    const { strides } = contiguousView(out.shape)
    const store = {
      shape: input.shape,
      strides: strides.map((s, d) => (dims.includes(d) ? 0 : s)),
      offset: 0,
    }
    this.pushReduce(loop, op.combine, body, dims, place, store, `${op.name}(${loop.label})`)
  }

  private emitReduceEach(node: Node, op: ReduceEachOp): void {
    const place = this.allocate(node.outputs[0])
    const slot = this.slotOf(node)
    for (const [i, { shape }] of node.inputs.entries()) {
      const loop = new LoopBuilder(this)
      const x = loop.build(node.inputs[i], null)
      const body = op.expr(x, (n, type) => loop.scalar(slot + n, type))
      const store = { shape, strides: shape.map(() => 0), offset: i }
      const dims = shape.map((_, d) => d)
      this.pushReduce(loop, op.combine, body, dims, place, store, op.name)
    }
  }

  /** Combines `body` over `dims` of the shape of `store`, which steps over the others. */
  private pushReduce(
    loop: LoopBuilder,
    combine: Combine,
    body: Expr,
    dims: readonly number[],
    place: Place,
    store: View,
    label: string,
  ): void {
    const kept = store.shape.map((_, d) => d).filter((d) => !dims.includes(d))
    const c = collapse(store.shape, [...loop.loads.map((l) => l.view), store], [kept, dims])
    const target = toOperand({ ...place, view: store }, c.operands.at(-1)!)
    this.kernels.push({
      kind: 'reduce',
      shape: c.shape,
      reducedRank: c.ranks[1],
      combine,
      body,
      loads: loop.loads.map((l, i) => toOperand(l, c.operands[i])),
      scalars: loop.scalars,
      stores: [{ operand: target, value: acc(scalarType(place.dtype)) }],
      label,
    })
  }

  private emitAssemble(node: Node, op: AssembleOp): void {
    const out = node.outputs[0]
    const pieces = node.inputs.map((input) => {
      const loop = new LoopBuilder(this)
      return { input, loop, value: loop.build(input, null) }
    })
    const { buffer } = this.allocate(out)
    if (op.fill) {
      const nothing = new LoopBuilder(this)
      this.pushMap(nothing, out, buffer, contiguousView(out.shape), constant(0, scalarType(out.dtype)))
    }
    const regions = op.regions(
      node.attrs,
      node.inputs.map((v) => v.shape),
      out.shape,
    )
    for (const [i, { input, loop, value }] of pieces.entries())
      this.pushMap(loop, input, buffer, regions[i], value)
  }

  private emitCall(node: Node, op: CallOp): void {
    const inputs = node.inputs.map((_, i) => this.callInput(node, op, i))
    const outputs = node.outputs.map((v): CallOperand => {
      const shape = op.seenShape ? op.seenShape(v.shape, node.attrs) : v.shape
      return { ...this.allocate(v), shape, strides: contiguousStrides(shape), offset: 0 }
    })
    if (node.outputs.every((v) => numel(v.shape) === 0)) return
    const slot = this.slotOf(node)
    const types = op.scalarTypes(node.attrs)
    this.kernels.push({
      kind: 'call',
      name: op.call,
      inputs,
      outputs,
      attrs: node.attrs as CallAttrs,
      scalars: types.map((type, i) => ({ slot: slot + i, type })),
      label: op.name,
    })
  }

  private callInput(node: Node, op: CallOp, i: number): CallOperand {
    const value = node.inputs[i]
    const { base, view } = throughViews(value, (v) => this.place(v) !== null)
    const place = this.place(base)
    if (!place) throw new NeedsStorage(base)
    const seen = callView(node, op, i, view)
    if (!seen) throw new NeedsStorage(value)
    return { ...place, ...seen }
  }

  private emitAssign(node: Node): void {
    const [{ state, isDropped }] = node.writes
    const out = node.outputs[0]
    if (isDropped) {
      this.emitForgotten(node)
      return
    }
    const buffer = this.writtenBuffer(node, 0)
    const [source] = node.inputs
    if (node.attrs.rows) {
      this.overwrites.check(node, state)
      this.pushPutRows(node, buffer)
      this.put(out, buffer)
      return
    }
    if (!this.overwrites.isSpared(node)) {
      this.overwrites.check(node, state)
      const loop = new LoopBuilder(this)
      const value = loop.build(source, null)
      const dim = node.attrs.dim as number | undefined
      const whole = contiguousView(out.shape)
      // in place is safe only where every element is read at the index at which it is written
      if (loop.loads.some((l) => l.buffer === buffer && !(dim === undefined && isWhole(l.view))))
        throw new NeedsStorage(source)
      if (dim === undefined) this.pushMap(loop, source, buffer, whole, value)
      else {
        const region = sliceView(whole, dim, 0, 1, source.shape[dim])
        const offsetSlot = { slot: this.slotOf(node), stride: whole.strides[dim] }
        this.pushMap(loop, source, buffer, region, value, offsetSlot)
      }
    }
    this.put(out, buffer)
  }

  private pushPutRows(node: Node, buffer: number): void {
    const [{ state }] = node.writes
    const { shape, dtype } = state
    const inputs = node.inputs.map((v): CallOperand => {
      const place = this.place(v)
      if (!place) throw new NeedsStorage(v)
      return { ...place, shape: v.shape, strides: contiguousStrides(v.shape), offset: 0 }
    })
    this.kernels.push({
      kind: 'call',
      name: 'putRows',
      inputs,
      outputs: [{ buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 }],
      attrs: {},
      scalars: [],
      label: node.op.name,
    })
  }

  /** A write whose State has other contents by now: whoever still wants the value gets it from memory of its own. */
  private emitForgotten(node: Node): void {
    const [source] = node.inputs
    const out = node.outputs[0]
    if (isPartial(node))
      throw new Error(
        `[${node.op.name}] ${node.writes[0].state.name} was replaced before a part of it was written`,
      )
    const loop = new LoopBuilder(this)
    const value = loop.build(source, null)
    this.pushMap(loop, source, this.put(out, this.temporary(out)).buffer, contiguousView(out.shape), value)
  }

  /** The buffer that output `i` of a write is in: the State's, unless the State has other contents by now. */
  private writtenBuffer(node: Node, i: number): number {
    const { state, isDropped } = node.writes[i]
    if (isDropped) return this.temporary(node.outputs[i])
    const buffer = this.graph.externalOf.get(state)!
    ;(this.buffers[buffer] as { written: boolean }).written = true
    return buffer
  }

  /** One kernel a tuple: elementwise and in place. */
  private emitUpdate(node: Node, op: UpdateOp): void {
    const { states, inputs, shared } = node.attrs as Record<string, number>
    const tuples = node.writes.length / states
    const slot = this.slotOf(node)
    const common = shared > 0 ? node.inputs.slice(-shared) : []
    for (let t = 0; t < tuples; t++) {
      const own = node.inputs.slice(t * (states + inputs), (t + 1) * (states + inputs))
      const { shape } = own[0]
      const loop = new LoopBuilder(this)
      const args = own.map((v) => loop.build(v, null))
      for (const v of common) args.push(loop.build(v, loop.stretched(v, shape, null)))
      loop.labels.push(op.name)
      const values = op.exprs(args, (n, type) => loop.scalar(slot + n, type), node.attrs)
      const buffers: number[] = []
      for (let i = t * states; i < (t + 1) * states; i++) {
        if (!node.writes[i].isDropped) this.overwrites.check(node, node.writes[i].state)
        buffers.push(this.writtenBuffer(node, i))
      }
      if (loop.loads.some((l) => buffers.includes(l.buffer) && !isWhole(l.view)))
        throw new NeedsStorage(own.find((v, i) => i >= states && !this.place(v))!)
      this.pushUpdate(loop, shape, buffers, values)
      for (let i = 0; i < states; i++) this.put(node.outputs[t * states + i], buffers[i])
    }
  }

  private pushUpdate(
    loop: LoopBuilder,
    shape: readonly number[],
    buffers: readonly number[],
    values: readonly Expr[],
  ): void {
    if (numel(shape) === 0) return
    const whole = contiguousView(shape)
    const c = collapse(shape, [...loop.loads.map((l) => l.view), whole], [shape.map((_, d) => d)])
    this.kernels.push({
      kind: 'map',
      shape: c.shape,
      loads: loop.loads.map((l, i) => toOperand(l, c.operands[i])),
      scalars: loop.scalars,
      stores: buffers.map((buffer, i) => ({
        operand: toOperand({ buffer, dtype: 'float32', view: whole }, c.operands.at(-1)!),
        value: values[i],
      })),
      label: loop.label,
    })
  }
}

const isWhole = (view: View): boolean => isContiguous(view) && view.offset === 0

type CallAttrs = Readonly<Record<string, boolean | number | string>>

/** First and last kernel that touch each temporary. */
function markLifetimes(kernels: readonly Kernel[], buffers: readonly PlanBuffer[]): void {
  const { first, last } = lifetimesOf(kernels, buffers.length, (k) => k)
  for (let i = 0; i < buffers.length; i++) {
    const b = buffers[i]
    if (b.kind !== 'temp') continue
    b.firstUse = first[i]
    b.lastUse = last[i]
  }
}
