/**
 * What the planner hands to a backend: kernels over numbered buffers. Sizes, strides and offsets are run-time
 * parameters; a backend compiles only the structure (see `structureKey` of the map and reduce kernels), so that a new
 * sequence length plans again but compiles nothing.
 */
import type { DType } from '../dtype.ts'
import type { Expr } from '../expr.ts'

/** One of the plan's buffers. */
export type PlanBuffer =
  /** An intermediate: lives in the arena from step `firstUse` to step `lastUse` (inclusive). */
  | { readonly kind: 'temp'; readonly bytes: number; firstUse: number; lastUse: number }
  /** A State, an input or an evaluated root: bound at every run. */
  | { readonly kind: 'external'; readonly bytes: number; readonly binding: number; written: boolean }

/** Elements of a plan buffer as a loop sees them. `buffer` is -1 for an operand that is only addressed (`arange`). */
export interface Operand {
  readonly buffer: number
  readonly dtype: DType
  /** In elements from the start of the buffer. */
  readonly offset: number
  /** In elements, one per loop dimension; 0 where the operand is broadcast. */
  readonly strides: readonly number[]
  /** Adds `scalars[slot] * stride` elements to the offset at every run: where a KV cache grows. Stores of map kernels only. */
  readonly offsetSlot?: { readonly slot: number; readonly stride: number }
}

/** Scalar number i of a kernel is `scalars[slot]` of the run, converted to the type (i32: by `| 0`). */
export interface KernelScalar {
  readonly slot: number
  readonly type: 'f32' | 'i32'
}

export interface Store {
  readonly operand: Operand
  readonly value: Expr
}

/**
 * For every index of `shape`: evaluate each store's expression, then write them all. Dimensions that can be merged are
 * merged already; rank is at least 1. A store may write where a load of the same element reads (in place), never where
 * another index reads.
 */
export interface MapKernel {
  readonly kind: 'map'
  readonly shape: readonly number[]
  readonly loads: readonly Operand[]
  readonly scalars: readonly KernelScalar[]
  readonly stores: readonly Store[]
  /** For debug output and profiles: the ops that were fused. */
  readonly label: string
  /** Place in the graph of the node that it computes, where a profile asked for it. */
  origin?: number
}

export type Combine = 'sum' | 'prod' | 'max' | 'min'

/**
 * For every index of the kept dimensions: combine `body` over the reduced ones (f32 or i32; max and min give NaN if any
 * is NaN; starting values 0, 1, -inf, +inf, and the smallest and largest i32), then evaluate the stores, whose
 * expressions may use `acc` and loads (those do not vary over the reduced dimensions).
 * `shape` is [...kept, ...reduced] with `reducedRank` reduced ones (>= 1); operands have strides for all, stores 0 for the
 * reduced.
 */
export interface ReduceKernel {
  readonly kind: 'reduce'
  readonly shape: readonly number[]
  readonly reducedRank: number
  readonly combine: Combine
  readonly body: Expr
  readonly loads: readonly Operand[]
  readonly scalars: readonly KernelScalar[]
  readonly stores: readonly Store[]
  readonly label: string
  origin?: number
}

/** An operand of a hand-written kernel. */
export interface CallOperand {
  readonly buffer: number
  readonly dtype: DType
  readonly shape: readonly number[]
  /** In elements. Inputs may be any strided view where the kernel's entry below says so; outputs are contiguous. */
  readonly strides: readonly number[]
  readonly offset: number
}

/**
 * A map that a product's kernel applies to each piece of its result, as soon as that is finished and while it is in the cache.
 */
export interface Epilogue {
  /** Over [all rows, N]. Its loads of the product's buffer lie as the product does: they are the element just computed. */
  readonly map: MapKernel
  /** Whether the product itself is written to its buffer as well. */
  readonly keepsProduct: boolean
}

/** A hand-written kernel, by name: `CallSpecs` below says what each takes, gives and computes. */
export interface CallKernel {
  readonly kind: 'call'
  readonly name: CallName
  readonly inputs: readonly CallOperand[]
  readonly outputs: readonly CallOperand[]
  /** Part of the structure: a backend may compile by them. */
  readonly attrs: Readonly<Record<string, boolean | number | string>>
  readonly scalars: readonly KernelScalar[]
  readonly label: string
  origin?: number
  /** Of `matmul` only, and where the backend's `takesEpilogue` said that it can. */
  readonly epilogue?: Epilogue
}

/**
 * The hand-written kernels. "rows" means: contiguous [rows, C], all leading dimensions merged. Optional inputs are absent
 * from `inputs` when their attribute is false; the order is kept. Accumulation is in f32.
 *
 * - `matmul`: a [...B, M, K], b [...B, K, N], bias [N] (attrs.bias) -> [...B, M, N]. a and b are any strided views (a
 *   transpose is a pair of swapped strides, a broadcast batch dimension has stride 0); batch rank 0 to 3, equal in both.
 *   a is float32; b may be float16 or bfloat16.
 * - `softmax`: x rows -> y rows; attrs.log: log-softmax. A row of only -inf gives NaN, as in PyTorch.
 * - `layerNorm`: x rows, weight [C] (attrs.weight), bias [C] (attrs.bias); scalars: eps f32 -> y rows, mean [rows],
 *   rstd [rows]; biased variance.
 * - `layerNormBackward`: dy rows, x rows, mean, rstd, weight (attrs.weight) -> dx rows.
 * - `rmsNorm`: x rows, weight [C] (attrs.weight); scalars: eps -> y rows, rstd [rows].
 * - `rmsNormBackward`: dy, x, rstd, weight (attrs.weight) -> dx.
 * - `gatherRows`: table [V, D] (contiguous; any float storage), ids int32 [N] -> [N, D]; an id outside 0..V-1 gives NaN.
 * - `scatterAddRows`: src [N, D] contiguous, ids int32 [N] -> [V, D], zero where no id points; ids outside are skipped;
 *   sums run in the order of N (same bits every time).
 * - `putRows`: src [N, D] contiguous, ids int32 [N] -> [V, D] in place: row n becomes row ids[n], the others stay; ids
 *   outside are skipped, those inside differ from each other.
 * - `gather`: x rows [R, C], index int32 [R, K] -> [R, K]: x[r, index[r, k]]; an index outside gives NaN (0 for int32).
 * - `argmax`: x rows [R, C] -> int32 [R]: first position of the largest; a NaN counts as largest.
 * - `philox`: scalars: key0 i32, key1 i32, counter0 i32, counter1 i32 -> int32 [n] random bits. Element e is word
 *   (e >> 2) & 3 of Philox 4x32-10 at counter (counter0, counter1) + (e >> 4) * 4 + (e & 3) (64-bit sum; the two high
 *   counter words are 0), key (key0, key1).
 * - `attention`: q [B, Hq, Tq, D], k and v [B, Hkv, Tk, D] (strided views, stride 1 in D; Hq a multiple of Hkv: head h reads
 *   k/v head floor(h / (Hq / Hkv))), mask float32 [B, Hq, Tq, Tk] added to the scores (attrs.mask; strided, often broadcast),
 *   cuSeqlens int32 [S+1] (attrs.packed; then B = 1, Tq = Tk and query i attends only to keys of its own segment);
 *   scalars: scale f32, kvLength i32 (keys at and beyond it are not read), and with attrs.dropout: p f32, key0, key1,
 *   counter0, counter1 i32. attrs.causal: query i attends to keys j <= i + kvLength - Tq.
 *   -> o [B, Tq, Hq, D], lse [B, Hq, Tq] (log of the sum of exp of the scores).
 *   Dropout: element e = ((b * Hq + h) * Tq + i) * Tk + j of the philox stream; a probability is kept where
 *   (bits >>> 8) * 2^-24 >= p, and then divided by (1 - p). A query with no key (or only -inf) gives 0 and lse -inf.
 * - `attentionBackward`: do [B, Tq, Hq, D], q, k, v, o, lse, mask?, cuSeqlens? with the same attrs and scalars
 *   -> dq [B, Tq, Hq, D], dk and dv [B, Tk, Hkv, D] (rows at and beyond kvLength are 0).
 */
export type CallName =
  | 'matmul'
  | 'softmax'
  | 'layerNorm'
  | 'layerNormBackward'
  | 'rmsNorm'
  | 'rmsNormBackward'
  | 'gatherRows'
  | 'scatterAddRows'
  | 'putRows'
  | 'gather'
  | 'argmax'
  | 'philox'
  | 'attention'
  | 'attentionBackward'

export type Kernel = MapKernel | ReduceKernel | CallKernel

/** Kernels in the order in which they run: a kernel sees everything that those before it wrote. */
export interface KernelPlan {
  readonly kernels: readonly Kernel[]
  readonly buffers: readonly PlanBuffer[]
  /** How many scalars a run passes. */
  readonly scalarCount: number
}

/** All operands of a kernel that are in memory, with whether it writes them. */
export function forEachOperand(
  k: Kernel,
  visit: (operand: Operand | CallOperand, isWritten: boolean) => void,
): void {
  if (k.kind === 'call') {
    const { epilogue } = k
    for (const o of k.inputs) visit(o, false)
    if (epilogue?.keepsProduct !== false) for (const o of k.outputs) visit(o, true)
    if (!epilogue) return
    for (const o of epilogue.map.loads) if (o.buffer !== k.outputs[0].buffer) visit(o, false)
    for (const s of epilogue.map.stores) visit(s.operand, true)
  } else {
    for (const o of k.loads) visit(o, false)
    for (const s of k.stores) visit(s.operand, true)
  }
}

/** Per operand, what generated code depends on: its dtype and how the innermost loop steps over it. */
const operandStructure = (o: Operand, rank: number): string => {
  const inner = o.strides[rank - 1]
  return `${o.buffer < 0 ? 'iota' : o.dtype}${inner === 0 ? 'b' : inner === 1 ? 'c' : 's'}`
}

/**
 * Equal for kernels that may share code: expressions, dtypes, rank, and whether an operand is contiguous (c), broadcast (b)
 * or strided (s) along the innermost dimension. Sizes are not in it.
 */
export function structureKey(k: MapKernel | ReduceKernel): string {
  const rank = k.shape.length
  const loads = k.loads.map((o) => operandStructure(o, rank)).join(',')
  const stores = k.stores.map((s) => `${s.value.id}>${operandStructure(s.operand, rank)}`).join(',')
  const scalars = k.scalars.map((s) => s.type).join(',')
  const head = k.kind === 'map' ? `map${rank}` : `reduce${rank}.${k.reducedRank}.${k.combine}.${k.body.id}`
  return `${head}|${loads}|${scalars}|${stores}`
}
