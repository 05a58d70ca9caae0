/** Batch dimensions of strided operands: up to three, numbered row by row. */
import type { CallOperand } from '../../../plan/kernel.ts'
import { Address, type FunctionBuilder, type I32, type Variable } from '../assembler.ts'
import { bytesOf } from './arguments.ts'

/** Fields of an argument block that say where batch number i of an operand is; strides in bytes. */
export const batchFields = {
  size1: 'i32',
  size2: 'i32',
  stride0: 'address',
  stride1: 'address',
  stride2: 'address',
} as const

/** The fields as code reads them. */
export interface BatchParameters {
  readonly size1: I32
  readonly size2: I32
  readonly stride0: Address
  readonly stride1: Address
  readonly stride2: Address
}

export interface BatchLayout {
  readonly size1: number
  readonly size2: number
  readonly stride0: number
  readonly stride1: number
  readonly stride2: number
}

/** The layout of an operand's dimensions before the last two. */
export function batchLayout(o: CallOperand): BatchLayout {
  const rank = o.shape.length - 2
  const sizes = [1, 1, 1, ...o.shape.slice(0, rank)].slice(-3)
  const strides = [0, 0, 0, ...o.strides.slice(0, rank)].slice(-3).map((s) => s * bytesOf(o))
  return { size1: sizes[1], size2: sizes[2], stride0: strides[0], stride1: strides[1], stride2: strides[2] }
}

/** Bytes from the operand's start to batch number `index`. */
export function batchOffset(f: FunctionBuilder, p: BatchParameters, index: I32): Variable<Address> {
  const rest = f.let(index.divU(p.size2))
  const inner = Address.of(index.remU(p.size2)).mul(p.stride2)
  return f.let(inner.at(rest.remU(p.size1), p.stride1).at(rest.divU(p.size1), p.stride0))
}
