/** Reverse-mode differentiation: gradients are built as tensor ops, so they are lazy, fuse, and can be differentiated again. */
import { accumulate } from './gradients.ts'
import { type Node, requestRoot, type Value } from './graph.ts'
import { enableGrad, noGrad } from './modes.ts'
import type { Op, ViewOp } from './op.ts'
import { full } from './ops/create.ts'
import { method } from './ops/define.ts'
import { sumTo } from './ops/views.ts'
import { isProfiling, recordedFor } from './profile/scope.ts'
import { formatShape, sameShape } from './shape.ts'
import { apply, Tensor } from './tensor.ts'

export interface BackwardOptions {
  /** Keep the graph so that `backward()` can go through it again. */
  retainGraph?: boolean
  /** Make gradients differentiable. Implies `retainGraph`. */
  createGraph?: boolean
}

export interface GradOptions extends BackwardOptions {
  /** Gradients of the outputs; ones unless given. */
  gradOutputs?: readonly Tensor[]
  /** Give null for inputs that the outputs do not depend on, rather than throw. */
  allowUnused?: boolean
}

/** Nodes that backward has gone through, until an evaluation has computed their results. */
let finished: Node[] = []

/** Called after an evaluation: results whose gradients were taken let go of the graph behind them. */
export function releaseDifferentiated(): void {
  for (const node of finished)
    for (const o of node.outputs)
      if (o.storage) {
        o.node = null
        o.released = true
      }
  finished = []
}

/** Every node through which a gradient can flow to a leaf, newest first. */
function nodesBehind(roots: readonly Value[]): Node[] {
  const seen = new Set<Node>()
  const stack = roots.flatMap((r) => (r.node && r.requiresGrad ? [r.node] : []))
  while (stack.length) {
    const node = stack.pop()!
    if (seen.has(node) || !node.op.grad) continue
    seen.add(node)
    for (const v of node.inputs) if (v.node && v.requiresGrad) stack.push(v.node)
  }
  return [...seen].sort((a, b) => b.id - a.id)
}

function isLeaf(v: Value): boolean {
  if (v.released)
    throw new Error(
      '[backward] the graph was freed by an earlier backward(): pass { retainGraph: true } there',
    )
  return !v.node?.op.grad
}

function runHooks(value: Value, grad: Tensor): Tensor {
  let out = grad
  for (const hook of value.hooks ?? []) {
    const changed = hook(out)
    if (changed === undefined) continue
    if (!(changed instanceof Tensor) || !sameShape(changed.shape, value.shape))
      throw new RangeError(
        `[registerHook] a hook must give nothing or a tensor of shape ${formatShape(value.shape)}`,
      )
    out = changed
  }
  return out
}

/** Gradients by value, for leaves and for the values in `wanted`. */
function propagate(
  outputs: readonly Tensor[],
  seeds: readonly Tensor[],
  wanted: ReadonlySet<Value>,
  options: BackwardOptions,
): Map<Value, Tensor> {
  const grads = new Map<Value, Tensor>()
  const give = (v: Value, grad: Tensor) => {
    const known = grads.get(v)
    grads.set(v, known ? known.add(grad) : grad)
  }
  for (const [i, t] of outputs.entries()) give(t.value, seeds[i])
  const nodes = nodesBehind(outputs.map((t) => t.value))
  const results = new Map<Value, Tensor>()
  for (const node of nodes) {
    const dys = node.outputs.map((o) => {
      const g = grads.get(o)
      if (!g) return null
      grads.delete(o)
      const hooked = runHooks(o, g)
      if (wanted.has(o)) results.set(o, hooked)
      return hooked
    })
    if (dys.every((d) => d === null)) continue
    const run = () => differentiate(node, dys, options.createGraph ?? false, give)
    if (isProfiling()) recordedFor(node, run)
    else run()
    if (!options.retainGraph && !options.createGraph) {
      finished.push(node)
    }
  }
  for (const [v, g] of grads) if (isLeaf(v)) results.set(v, runHooks(v, g))
  return results
}

function differentiate(
  node: Node,
  dys: readonly (Tensor | null)[],
  createGraph: boolean,
  give: (v: Value, g: Tensor) => void,
): void {
  const needs = node.inputs.map((v) => v.requiresGrad)
  const gradients = node.op.grad!({
    dy: dys[0] ?? full(node.outputs[0].shape, 0),
    dys,
    inputs: node.inputs.map((v) => new Tensor(v)),
    outputs: node.outputs.map((v) => new Tensor(v)),
    attrs: node.attrs,
    scalars: node.scalars,
    needs,
    createGraph,
  })
  for (let i = 0; i < node.inputs.length; i++) {
    const v = node.inputs[i]
    const g = gradients[i]
    if (!needs[i] || !g) continue
    give(v, sameShape(g.shape, v.shape) ? g : sumTo(g, v.shape))
  }
}

function seedsFor(op: string, outputs: readonly Tensor[], given?: readonly (Tensor | undefined)[]): Tensor[] {
  return outputs.map((t, i) => {
    if (!t.requiresGrad)
      throw new Error(
        `[${op}] this tensor does not depend on anything that requires a gradient (made under noGrad, or from detached tensors?)`,
      )
    const seed = given?.[i]
    if (!seed && t.numel !== 1)
      throw new Error(
        `[${op}] only a tensor with one element has a gradient by itself, this one has shape ${formatShape(t.shape)}: reduce it, or pass a gradient`,
      )
    if (seed && !sameShape(seed.shape, t.shape))
      throw new RangeError(
        `[${op}] the gradient has shape ${formatShape(seed.shape)}, the tensor ${formatShape(t.shape)}`,
      )
    return seed ?? full(t.shape, 1)
  })
}

/**
 * Adds the gradient of this tensor (one element, or with `gradient` of its shape) to `grad` of every leaf it depends on.
 * Nothing is computed yet: the loss and the gradients become part of the next evaluation.
 */
export function backward(loss: Tensor, gradient?: Tensor, options: BackwardOptions = {}): void {
  const seeds = seedsFor('backward', [loss], [gradient])
  const run = options.createGraph ? enableGrad : noGrad
  run(() => {
    const grads = propagate([loss], seeds, new Set(), options)
    accumulate([...grads].filter(([v]) => v.requiresGrad).map(([leaf, grad]) => ({ leaf, grad })))
  })
  requestRoot(loss.value)
}

/** Gradients of the sum of `outputs` with respect to `inputs`, as tensors; `grad` of leaves is left alone. */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions & { allowUnused: true },
): (Tensor | null)[]
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options?: GradOptions,
): Tensor[]
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const roots = outputs instanceof Tensor ? [outputs] : outputs
  const seeds = seedsFor('grad', roots, options.gradOutputs)
  const run = options.createGraph ? enableGrad : noGrad
  return run(() => {
    const grads = propagate(roots, seeds, new Set(inputs.map((t) => t.value)), options)
    return inputs.map((t, i) => {
      const found = grads.get(t.value)
      if (!found && !options.allowUnused)
        throw new Error(
          `[grad] input ${i} was not used to compute the outputs: pass { allowUnused: true } to get null for it`,
        )
      return found ?? null
    })
  })
}

const detachOp: ViewOp = { kind: 'view', name: 'detach', apply: (view) => view }

/** The same values without a history: no gradient flows through. */
export function detach(x: Tensor): Tensor {
  return x.requiresGrad ? apply(detachOp, [x], x.shape, x.dtype) : new Tensor(x.value)
}

/** A handle that removes what it stands for. */
export interface Removable {
  remove(): void
}

/** Calls `hook` with the gradient of this tensor when backward computes it; what it returns replaces the gradient. */
export function registerHook(x: Tensor, hook: (grad: Tensor) => Tensor | undefined): Removable {
  if (!x.requiresGrad) throw new Error('[registerHook] this tensor does not require a gradient')
  const entry = hook as (grad: unknown) => unknown
  x.value.hooks ??= []
  const hooks = x.value.hooks
  hooks.push(entry)
  return {
    remove: () => {
      const at = hooks.indexOf(entry)
      if (at >= 0) hooks.splice(at, 1)
    },
  }
}

export interface CustomFunction {
  name?: string
  /** Computes the result; ops inside are not recorded for gradients. */
  forward: (...inputs: Tensor[]) => Tensor
  /** Gradients of the inputs from the gradient of the result. */
  backward: (dy: Tensor, context: { inputs: readonly Tensor[]; output: Tensor }) => readonly (Tensor | null)[]
}

/** An op with a gradient of the user's own: what `torch.autograd.Function` is for. */
export function customFunction(spec: CustomFunction): (...inputs: Tensor[]) => Tensor {
  const op: Op = {
    kind: 'view',
    name: spec.name ?? 'custom',
    apply: (view) => view,
    grad: ({ dy, inputs, outputs: [output] }) => [
      null,
      ...spec.backward(dy, { inputs: inputs.slice(1), output }),
    ],
  }
  return (...inputs) => {
    const result = noGrad(() => spec.forward(...inputs))
    return apply(op, [result, ...inputs], result.shape, result.dtype)
  }
}

declare module './tensor.ts' {
  interface Tensor {
    backward(gradient?: Tensor, options?: BackwardOptions): void
    detach(): Tensor
    registerHook(hook: (grad: Tensor) => Tensor | undefined): Removable
  }
}
method('backward', backward)
method('detach', detach)
method('registerHook', registerHook)
