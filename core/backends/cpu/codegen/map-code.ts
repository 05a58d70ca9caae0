/** What the codes of all maps share: loops over elements, loops over tiles, and epilogues of products. */
import type { Expr } from '../../../expr.ts'
import type { KernelScalar } from '../../../plan/kernel.ts'
import type { Address, FunctionBuilder } from '../assembler.ts'
import { loadScalar, type OperandWords, stepOf } from './operands.ts'
import { type Helpers, type Level, VectorCode } from './vector-code.ts'

export interface MapValues {
  /** One a store. */
  readonly values: readonly Expr[]
  readonly loads: readonly OperandWords[]
  /** Byte offsets in the argument block. */
  readonly scalars: readonly number[]
}

/** Code of a map's values, with the scalars loaded (level 0); broadcast along a row are level 1. */
export function mapCode(
  f: FunctionBuilder,
  helpers: Helpers,
  args: Address,
  { values, loads, scalars }: MapValues,
  wide = false,
): VectorCode {
  const levelOf = (leaf: Expr): Level => {
    if (leaf.op === 'const' || leaf.op === 'scalar') return 0
    return stepOf(loads[leaf.value].operand.strides.at(-1)!) === 'broadcast' ? 1 : 2
  }
  const code = new VectorCode(f, helpers, values, levelOf, wide)
  code.hoist(0, (e) => loadScalar(args, scalars[e.value], e))
  return code
}

/** What a map's code depends on; `loads` and `stores` are keys of its operands. */
export const mapKey = (
  values: readonly Expr[],
  scalars: readonly KernelScalar[],
  loads: readonly string[],
  stores: readonly string[],
): string =>
  [
    loads.join(),
    scalars.map((s) => s.type).join(),
    stores.map((key, i) => `${values[i].id}>${key}`).join(),
  ].join('|')
