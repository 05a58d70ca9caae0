/** From the pending graph to kernels over numbered buffers. */
import { dtypeInfo } from '../dtype.ts'
import { acc, constant, type Expr } from '../expr.ts'
import type { Node, Value } from '../graph.ts'
import { type AssembleOp, type CallOp, type ReduceOp, scalarType } from '../op.ts'
import { contiguousStrides, numel } from '../shape.ts'
import type { State } from '../state.ts'
import { contiguousView, isContiguous, sliceView, type View } from '../view.ts'
import { type Analysis, analyze, fitsCall, lastRead, throughViews } from './analyze.ts'
import type { PendingGraph } from './graph-key.ts'
import type { CallOperand, Kernel, KernelPlan, Operand, PlanBuffer, Store } from './kernel.ts'
import { collapse, LoopBuilder, type LoopContext, NeedsStorage, type Place, toOperand } from './loop.ts'
import { mergeMaps } from './merge.ts'

/** Plans a graph. Values that turn out to need memory are added until every kernel can be built. */
export function lower(graph: PendingGraph): KernelPlan {
  const forced = new Set<Value>()
  for (;;) {
    try {
      return new Lowering(graph, forced).run()
    } catch (e) {
      if (!(e instanceof NeedsStorage) || forced.has(e.value)) throw e
      forced.add(e.value)
    }
  }
}

class Lowering implements LoopContext {
  private readonly graph: PendingGraph
  private readonly analysis: Analysis
  private readonly buffers: PlanBuffer[] = []
  private readonly kernels: Kernel[] = []
  private readonly places = new Map<Value, Place>()
  private readonly slots = new Map<Node, number>()
  /** Values that are computed straight into a State. */
  private readonly targets = new Map<Value, Node>()
  /** Leaves that stand for a State as it was before the plan. */
  private readonly versions = new Map<State, Value[]>()
  /** Assigns of each State, in order. */
  private readonly assigns = new Map<State, Node[]>()

  constructor(graph: PendingGraph, forced: ReadonlySet<Value>) {
    this.graph = graph
    this.analysis = analyze(graph, forced)
    for (const [i, e] of graph.externals.entries()) {
      const [shape, dtype] =
        e.kind === 'state' ? [e.state.shape, e.state.dtype] : [e.value.shape, e.value.dtype]
      const bytes = numel(shape) * dtypeInfo(dtype).deviceBytes
      this.buffers.push({ kind: 'external', bytes, binding: i, written: e.kind === 'root' })
    }
    let slot = 0
    for (const node of graph.nodes) {
      this.slots.set(node, slot)
      slot += node.scalars.length
      if (node.state) this.assigns.set(node.state, [...(this.assigns.get(node.state) ?? []), node])
      for (const v of node.inputs)
        if (v.storage?.kind === 'state') {
          const seen = this.versions.get(v.storage.state) ?? []
          if (!seen.includes(v)) this.versions.set(v.storage.state, [...seen, v])
        }
    }
    this.chooseTargets()
  }

  run(): KernelPlan {
    for (const node of this.graph.nodes) this.emit(node)
    const kernels = mergeMaps(this.kernels)
    markLifetimes(kernels, this.buffers)
    return { kernels, buffers: this.buffers, scalarCount: this.graph.scalars.length }
  }

  slotOf(node: Node): number {
    return this.slots.get(node)!
  }

  place(value: Value): Place | null {
    const known = this.places.get(value)
    if (known) return known
    if (!value.storage) return null
    const id = value.storage.kind === 'state' ? value.storage.state : value
    return { buffer: this.graph.externalOf.get(id)!, dtype: value.dtype }
  }

  /** The buffer into which a stored value is computed. */
  private allocate(value: Value): Place {
    const target = this.targets.get(value)
    const external = target ? this.graph.externalOf.get(target.state!) : this.graph.externalOf.get(value)
    const bytes = numel(value.shape) * dtypeInfo(value.dtype).deviceBytes
    const buffer = external ?? this.buffers.push({ kind: 'temp', bytes, firstUse: -1, lastUse: -1 }) - 1
    const place = { buffer, dtype: value.dtype }
    this.places.set(value, place)
    return place
  }

  private emit(node: Node): void {
    const { op } = node
    const out = node.outputs[0]
    if (op.kind === 'call') this.emitCall(node, op)
    else if (op.kind === 'reduce') this.emitReduce(node, op)
    else if (op.kind === 'assemble') this.emitAssemble(node, op)
    else if (op.kind === 'assign') this.emitAssign(node)
    else if (this.analysis.stored.has(out)) this.emitMap(node)
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
    const { buffer } = this.allocate(out)
    if (numel(out.shape) === 0) return
    const dims = node.attrs.dims as readonly number[]
    const kept = input.shape.map((_, d) => d).filter((d) => !dims.includes(d))
    const store: View = { ...contiguousView(out.shape), shape: input.shape }
    const strides = store.strides.map((s, d) => (dims.includes(d) ? 0 : s))
    const views = [...loop.loads.map((l) => l.view), { ...store, strides }]
    const c = collapse(input.shape, views, [kept, dims])
    const target = toOperand({ buffer, dtype: out.dtype, view: store }, c.operands.at(-1)!)
    this.kernels.push({
      kind: 'reduce',
      shape: c.shape,
      reducedRank: c.ranks[1],
      combine: op.combine,
      body,
      loads: loop.loads.map((l, i) => toOperand(l, c.operands[i])),
      scalars: loop.scalars,
      stores: [{ operand: target, value: acc(scalarType(out.dtype)) }],
      label: `${op.name}(${loop.label})`,
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
    const inputs = node.inputs.map((v, i) => this.callInput(op, v, i))
    const outputs = node.outputs.map((v): CallOperand => {
      const { buffer, dtype } = this.allocate(v)
      return { buffer, dtype, shape: v.shape, strides: contiguousStrides(v.shape), offset: 0 }
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

  private callInput(op: CallOp, value: Value, i: number): CallOperand {
    const { base, view } = throughViews(value, (v) => this.place(v) !== null)
    const place = this.place(base)
    if (!place) throw new NeedsStorage(base)
    if (!fitsCall(op, i, view)) throw new NeedsStorage(value)
    return {
      buffer: place.buffer,
      dtype: place.dtype,
      shape: value.shape,
      strides: view.strides,
      offset: view.offset,
    }
  }

  /**
   * Where an assign's source is computed by a kernel that gives it whole, that kernel can write the State itself, unless the
   * old version is read from then on, or the value is read after the State's next version.
   */
  private chooseTargets(): void {
    for (const assigns of this.assigns.values())
      for (const [i, node] of assigns.entries()) {
        const { base, view } = throughViews(node.inputs[0], () => false)
        const producer = base.storage ? null : base.node
        const isTaken = this.targets.has(base) || this.graph.externalOf.has(base)
        if (node.attrs.dim !== undefined || !producer || !view || isTaken) continue
        // a slice of the result is contiguous as well, but the kernel writes all of it
        if (!isContiguous(view) || numel(base.shape) !== numel(node.state!.shape)) continue
        // the kernel runs before this assign: an assign in between would then be the later write
        if (i > 0 && assigns[i - 1].id > producer.id) continue
        const ownKernel =
          producer.op.kind === 'call' || (producer.op.kind !== 'assign' && this.analysis.stored.has(base))
        if (!ownKernel || base.dtype !== node.state!.dtype) continue
        const old = this.previousVersions(node)
        const readsOld = old.some((v) => (lastRead(v, this.analysis)?.at ?? -1) >= producer.id)
        const later = assigns[i + 1]
        const outlives = later && (lastRead(base, this.analysis)?.at ?? -1) > later.id
        if (!readsOld && !outlives) this.targets.set(base, node)
      }
  }

  /** The values that an assign makes unreadable: earlier versions, and what was computed straight into the State. */
  private previousVersions(node: Node): Value[] {
    const earlier = this.assigns.get(node.state!)!.filter((a) => a.id < node.id)
    const direct = [...this.targets].filter(([, target]) => earlier.includes(target)).map(([base]) => base)
    return [...(this.versions.get(node.state!) ?? []), ...earlier.map((a) => a.outputs[0]), ...direct]
  }

  private emitAssign(node: Node): void {
    const state = node.state!
    const out = node.outputs[0]
    const buffer = this.graph.externalOf.get(state)!
    const external = this.buffers[buffer] as { written: boolean }
    external.written = true
    const [source] = node.inputs
    const { base } = throughViews(source, () => false)
    if (this.targets.get(base) !== node) {
      this.checkOverwrite(node)
      const loop = new LoopBuilder(this)
      const value = loop.build(source, null)
      const dim = node.attrs.dim as number | undefined
      const whole = contiguousView(out.shape)
      // in place is safe only where every element is read at the index at which it is written
      const clash = loop.loads.some(
        (l) => l.buffer === buffer && !(dim === undefined && isContiguous(l.view) && l.view.offset === 0),
      )
      if (clash) throw new NeedsStorage(source)
      if (dim === undefined) this.pushMap(loop, source, buffer, whole, value)
      else {
        const region = sliceView(whole, dim, 0, 1, source.shape[dim])
        const offsetSlot = { slot: this.slotOf(node), stride: whole.strides[dim] }
        this.pushMap(loop, source, buffer, region, value, offsetSlot)
      }
    }
    this.places.set(out, { buffer, dtype: out.dtype })
  }

  /** Nothing may read the old version after this write: what was made before is computed first, what was made after is an error. */
  private checkOverwrite(node: Node): void {
    for (const old of this.previousVersions(node)) {
      const last = lastRead(old, this.analysis)
      if (!last || last.at <= node.id) continue
      if (last.node.id > node.id)
        throw new Error(
          `[${last.node.op.name}] reads ${node.state!.name} as it was before it was assigned: take the value before the assignment and retain() it`,
        )
      throw new NeedsStorage(last.node.outputs[0])
    }
  }
}

type CallAttrs = Readonly<Record<string, boolean | number | string>>

/** First and last kernel that touch each temporary. */
function markLifetimes(kernels: readonly Kernel[], buffers: readonly PlanBuffer[]): void {
  const touch = (buffer: number, at: number) => {
    const b = buffers[buffer]
    if (b?.kind !== 'temp') return
    if (b.firstUse < 0) b.firstUse = at
    b.lastUse = at
  }
  for (const [at, k] of kernels.entries()) {
    const operands =
      k.kind === 'call' ? [...k.inputs, ...k.outputs] : [...k.loads, ...k.stores.map((s: Store) => s.operand)]
    for (const o of operands) if (o.buffer >= 0) touch(o.buffer, at)
  }
}
