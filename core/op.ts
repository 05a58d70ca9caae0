/** What an op is: one record that says everything the rest of the system needs to know of it. */
import type { DType } from './dtype.ts'
import type { Expr, ScalarType } from './expr.ts'
import type { CallName, Combine } from './plan/kernel.ts'
import type { Tensor } from './tensor.ts'
import type { View } from './view.ts'

export type AttrValue = number | string | boolean | null | readonly AttrValue[]
/** Fixed properties of one use of an op; part of the plan's key. Numbers that change every step belong in scalars. */
export type Attrs = Readonly<Record<string, AttrValue>>

/** What a gradient rule sees of a node of the forward graph. */
export interface GradContext {
  /** Gradient of output 0. */
  readonly dy: Tensor
  /** Gradients of all outputs; null where none arrived. */
  readonly dys: readonly (Tensor | null)[]
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attrs: Attrs
  readonly scalars: readonly number[]
  /** Which inputs need a gradient. */
  readonly needs: readonly boolean[]
  /** True where the gradient itself will be differentiated, so it must be made of differentiable ops. */
  readonly createGraph: boolean
}

/** Gradients of the inputs, in their shapes (a map op may give the broadcast shape: it is summed back); null where there is none. */
export type GradRule = (context: GradContext) => readonly (Tensor | null)[]

interface OpBase {
  readonly name: string
  /** Absent: no gradient flows through. */
  readonly grad?: GradRule
}

/** Elementwise over broadcast inputs. */
export interface MapOp extends OpBase {
  readonly kind: 'map'
  /** One element of the result; `scalar(i, type)` is the node's scalar number i. */
  readonly expr: (
    args: readonly Expr[],
    scalar: (i: number, type: 'f32' | 'i32') => Expr,
    attrs: Attrs,
  ) => Expr
}

/** Combines over `attrs.dims` (normalised, ascending); the result keeps them as size 1. */
export interface ReduceOp extends OpBase {
  readonly kind: 'reduce'
  readonly combine: Combine
}

/** Elements 0, 1, 2, ... of its shape as int32: an address, never memory. */
export interface IotaOp extends OpBase {
  readonly kind: 'iota'
}

/** The same elements, found elsewhere: never copies by itself. */
export interface ViewOp extends OpBase {
  readonly kind: 'view'
  /** The input's view seen through this op, or null where strides cannot express it. */
  readonly apply: (view: View, attrs: Attrs, shape: readonly number[]) => View | null
}

/** Inputs written side by side into one result: concatenation, padding, slice scatter. */
export interface AssembleOp extends OpBase {
  readonly kind: 'assemble'
  /** Where input i goes in the contiguous result; together with `fill` they cover it. */
  readonly regions: (
    attrs: Attrs,
    inputShapes: readonly (readonly number[])[],
    shape: readonly number[],
  ) => readonly View[]
  /** True where the result starts as zeros, because the regions leave gaps. */
  readonly fill: boolean
}

/** A hand-written kernel of the backends. */
export interface CallOp extends OpBase {
  readonly kind: 'call'
  readonly call: CallName
  /** Inputs that may be any strided view; the others are made contiguous. */
  readonly strided?: readonly number[]
  /** Inputs that may be strided, but need stride 1 in their last dimension. */
  readonly unitStride?: readonly number[]
  /** How the kernel sees input `i`, where that is not as it is; null where strides cannot express it. */
  readonly seenInput?: (view: View, i: number, attrs: Attrs) => View | null
  /** The sizes of the result as the kernel sees them, where they are others. */
  readonly seenShape?: (shape: readonly number[], attrs: Attrs) => readonly number[]
  readonly scalarTypes: (attrs: Attrs) => readonly ('f32' | 'i32')[]
}

/** Writes its input into a State; the result is the State's new version. */
export interface AssignOp extends OpBase {
  readonly kind: 'assign'
}

/**
 * Elementwise updates of many tuples of States at once, each tuple by itself: what an optimizer does, as one node.
 * Inputs are, tuple by tuple, `attrs.states` States and `attrs.inputs` more tensors of their shape, then `attrs.shared`
 * one-element tensors for all; the results are the States' new versions in the same order.
 */
export interface UpdateOp extends OpBase {
  readonly kind: 'update'
  /** New elements of a tuple's States from its old ones, its inputs and the shared tensors, in this order. */
  readonly exprs: (
    args: readonly Expr[],
    scalar: (i: number, type: 'f32' | 'i32') => Expr,
    attrs: Attrs,
  ) => readonly Expr[]
}

/** Element i of the result combines `expr` over all elements of input i: norms of many tensors, as one node. */
export interface ReduceEachOp extends OpBase {
  readonly kind: 'reduceEach'
  readonly combine: Combine
  readonly expr: (x: Expr, scalar: (i: number, type: 'f32' | 'i32') => Expr) => Expr
}

export type Op = MapOp | ReduceOp | IotaOp | ViewOp | AssembleOp | CallOp | AssignOp | UpdateOp | ReduceEachOp

/** The register type in which an element of a dtype is computed with. */
export const scalarType = (dtype: DType): ScalarType =>
  dtype === 'int32' ? 'i32' : dtype === 'bool' ? 'bool' : 'f32'
