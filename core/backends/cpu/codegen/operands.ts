/** Operands of generated loops: argument words, pointers, and how four (or one) of their elements are loaded and stored. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import type { Expr } from '../../../expr.ts'
import type { KernelScalar, Operand } from '../../../plan/kernel.ts'
import { type Address, F32x4, type FunctionBuilder, type I32, I32x4 } from '../assembler.ts'
import { type ArgWord, byteCount, int, scalarSlot, wordsOf } from '../dispatch.ts'
import type { Lanes } from './vector-code.ts'

/** How the innermost loop steps: not at all, element by element, by any other stride. */
export type Step = 'broadcast' | 'contiguous' | 'strided'

/** An operand whose strides are per loop dimension, as the loop nest orders them. */
export interface LoopOperand {
  /** Address of the first element; the first number itself for an operand that is only addressed. */
  readonly base: ArgWord
  readonly dtype: DType | 'address'
  readonly strides: readonly number[]
}

export const elementBytes = (o: LoopOperand): number =>
  o.dtype === 'address' ? 1 : dtypeInfo(o.dtype).deviceBytes

export const stepOf = (stride: number): Step =>
  stride === 0 ? 'broadcast' : stride === 1 ? 'contiguous' : 'strided'

/** For code keys. */
export const operandKey = (o: LoopOperand, dim: number): string => `${o.dtype}.${stepOf(o.strides[dim])[0]}`

export function loopOperand(o: Operand, strides: readonly number[] = o.strides): LoopOperand {
  if (o.buffer < 0) return { base: byteCount(o.offset), dtype: 'address', strides }
  const bytes = dtypeInfo(o.dtype).deviceBytes
  const moved = o.offsetSlot && { slot: o.offsetSlot.slot, bytes: o.offsetSlot.stride * bytes }
  return {
    base: { kind: 'buffer', buffer: o.buffer, byteOffset: o.offset * bytes, moved },
    dtype: o.dtype,
    strides,
  }
}

/** Collects an argument block; positions depend on the kernel's structure only. */
export class ArgumentWords {
  readonly words: ArgWord[]
  #bytes: number

  /** Goes on where other arguments end. */
  constructor(before: readonly ArgWord[] = []) {
    this.words = [...before]
    this.#bytes = before.reduce((bytes, word) => bytes + 4 * wordsOf(word), 0)
  }

  /** Adds an argument; gives its byte offset in the block. */
  add(value: ArgWord | number): number {
    const word = typeof value === 'number' ? int(value) : value
    this.words.push(word)
    const at = this.#bytes
    this.#bytes += 4 * wordsOf(word)
    return at
  }
}

/** Where an operand's words are in the block: its base and a stride in bytes per loop dimension. */
export interface OperandWords {
  readonly operand: LoopOperand
  readonly base: number
  readonly strides: readonly number[]
}

export function addOperand(words: ArgumentWords, operand: LoopOperand): OperandWords {
  const bytes = elementBytes(operand)
  return {
    operand,
    base: words.add(operand.base),
    strides: operand.strides.map((s) => words.add(byteCount(s * bytes))),
  }
}

export const addScalars = (words: ArgumentWords, scalars: readonly KernelScalar[]): number[] =>
  scalars.map((s) => words.add(scalarSlot(s.slot, s.type)))

export const loadScalar = (args: Address, at: number, e: Expr): Lanes =>
  e.type === 'f32' ? args.loadSplatF32(at) : args.loadSplatI32(at)

/** IEEE half to single: the exponent is moved by a multiplication, which also normalises subnormals. */
function widenHalf(f: FunctionBuilder, bits: I32x4): F32x4 {
  const h = f.let(bits)
  const magnitude = f.let(h.and(I32x4.const(0x7fff)).shl(13))
  const scaled = magnitude
    .bitsToF32x4()
    .mul(F32x4.const(2 ** 112))
    .bitsToI32x4()
  const special = magnitude.geS(I32x4.const(0x7c00 << 13)).and(I32x4.const(0x7f800000))
  return scaled
    .or(special)
    .or(h.and(I32x4.const(0x8000)).shl(16))
    .bitsToF32x4()
}

const widen = (f: FunctionBuilder, dtype: DType, bits: I32x4): Lanes => {
  switch (dtype) {
    case 'float16':
      return widenHalf(f, bits)
    case 'bfloat16':
      return bits.shl(16).bitsToF32x4()
    case 'float32':
      return bits.bitsToF32x4()
    case 'bool':
      return bits.ne(I32x4.const(0))
    default:
      return bits
  }
}

const loadWord = (operand: LoopOperand, address: Address): I32 =>
  elementBytes(operand) === 2 ? address.load16U() : address.load()

/** The element at an address in all lanes (or its address in all lanes). */
export function loadSplat(f: FunctionBuilder, operand: LoopOperand, address: Address): Lanes {
  if (operand.dtype === 'address') return address.toI32().splat()
  if (operand.dtype === 'float32') return address.loadSplatF32()
  return widen(f, operand.dtype, loadWord(operand, address).splat())
}

/** The element at an address in lane 0. */
export function loadOne(f: FunctionBuilder, operand: LoopOperand, address: Address): Lanes {
  if (operand.dtype === 'address') return address.toI32().splat()
  if (elementBytes(operand) === 2) return widen(f, operand.dtype, address.load16U().splat())
  return widen(f, operand.dtype, address.load32Zero())
}

/** Four elements: at `address + offset` and on by `stride` bytes (a constant where the operand is contiguous). */
export function loadFour(
  f: FunctionBuilder,
  operand: LoopOperand,
  step: Step,
  address: Address,
  stride: Address,
  offset: number,
): Lanes {
  if (step === 'broadcast') return loadSplat(f, operand, address)
  if (operand.dtype === 'address') {
    const lanes =
      step === 'contiguous' ? I32x4.const(0, 1, 2, 3) : I32x4.const(0, 1, 2, 3).mul(stride.toI32().splat())
    return address.add(offset).toI32().splat().add(lanes)
  }
  const bytes = elementBytes(operand)
  if (step === 'contiguous')
    return widen(f, operand.dtype, bytes === 2 ? address.load16x4U(offset) : address.loadI32x4(offset))
  const at = f.let(address)
  const one = f.let(at.add(stride))
  const two = f.let(one.add(stride))
  const three = two.add(stride)
  const first = bytes === 2 ? loadWord(operand, at).splat() : at.load32Zero()
  return widen(
    f,
    operand.dtype,
    first
      .withLane(1, loadWord(operand, one))
      .withLane(2, loadWord(operand, two))
      .withLane(3, loadWord(operand, three)),
  )
}

/** What a store writes: a truth value becomes 0 or 1. */
export const toWords = (operand: LoopOperand, value: Lanes): Lanes =>
  operand.dtype === 'bool' ? (value as I32x4).and(I32x4.const(1)) : value

export function storeFour(
  f: FunctionBuilder,
  step: Step,
  address: Address,
  stride: Address,
  offset: number,
  value: Lanes,
): void {
  if (step === 'contiguous') {
    f.storeVector(address, value, offset)
    return
  }
  const words = f.let<Lanes>(value)
  const at = f.let(address)
  for (let lane = 0; lane < 4; lane++) {
    f.storeLane(at, words, lane)
    if (lane < 3) at.set(at.add(stride))
  }
}
