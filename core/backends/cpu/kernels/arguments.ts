/** Named fields of an argument block: the lowering fills them by name, the emitted code reads them by name. */
import { dtypeInfo } from '../../../dtype.ts'
import type { CallOperand } from '../../../plan/kernel.ts'
import type { Address, F32, FunctionBuilder, I32, Variable } from '../assembler.ts'
import { ADDRESS_WORDS, type ArgWord, buffer, byteCount, int, wordsOf } from '../dispatch.ts'

/** An `address` field holds an address or a number of bytes. */
type Fields = Readonly<Record<string, keyof FieldValues>>
interface FieldValues {
  readonly i32: I32
  readonly f32: F32
  readonly address: Address
}
type FieldVariables<T extends Fields> = { [K in keyof T]: Variable<FieldValues[T[K]]> }

export interface ArgumentBlock<T extends Fields> {
  /** The words in the block's order; a plain number is an integer, or a number of bytes. */
  words(values: { [K in keyof T]: ArgWord | number }): ArgWord[]
  /** Loads every field into a variable. */
  read(f: FunctionBuilder, args: Address): FieldVariables<T>
}

const load = {
  i32: (args: Address, offset: number) => args.load(offset),
  f32: (args: Address, offset: number) => args.loadF32(offset),
  address: (args: Address, offset: number) => args.loadAddress(offset),
}

export function argumentBlock<const T extends Fields>(fields: T): ArgumentBlock<T> {
  const names = Object.keys(fields)
  const offsets: number[] = []
  let size = 0
  for (const name of names) {
    offsets.push(size)
    size += fields[name] === 'address' ? 4 * ADDRESS_WORDS : 4
  }
  return {
    words: (values) =>
      names.map((name) => {
        const value = values[name]
        const isAddress = fields[name] === 'address'
        if (typeof value === 'number') return isAddress ? byteCount(value) : int(value)
        if (wordsOf(value) !== (isAddress ? ADDRESS_WORDS : 1))
          throw new TypeError(`[cpu] ${value.kind} does not fit the ${fields[name]} field ${name}`)
        return value
      }),
    read: (f, args) =>
      Object.fromEntries(
        names.map((name, i) => [name, f.let<Address | F32 | I32>(load[fields[name]](args, offsets[i]))]),
      ) as unknown as FieldVariables<T>,
  }
}

/** The address of an operand's first element. */
export const operandAddress = (o: CallOperand): ArgWord =>
  buffer(o.buffer, o.offset * dtypeInfo(o.dtype).deviceBytes)

export const bytesOf = (o: CallOperand): number => dtypeInfo(o.dtype).deviceBytes

/** The number of rows and the row length of an operand whose leading dimensions are merged. */
export function rowsOf(o: CallOperand): { rows: number; columns: number } {
  const columns = o.shape.at(-1) ?? 1
  let rows = 1
  for (const size of o.shape.slice(0, -1)) rows *= size
  return { rows, columns }
}

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b)

/** Units a thread takes at a time: about 10 microseconds of work, but at least some pieces for a few threads. */
export const grainOf = (units: number, unitCost: number): number =>
  Math.max(1, Math.min(Math.round(10_000 / (unitCost + 1)), Math.floor(units / 8)))
