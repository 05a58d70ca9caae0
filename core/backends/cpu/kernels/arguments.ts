/** Named fields of an argument block: the lowering fills them by name, the emitted code reads them by name. */
import { dtypeInfo } from '../../../dtype.ts'
import type { CallOperand } from '../../../plan/kernel.ts'
import type { F32, FunctionBuilder, I32, Variable } from '../assembler.ts'
import { type ArgWord, buffer, int } from '../dispatch.ts'

type Fields = Readonly<Record<string, 'i32' | 'f32'>>
type FieldVariables<T extends Fields> = { [K in keyof T]: Variable<T[K] extends 'f32' ? F32 : I32> }

export interface ArgumentBlock<T extends Fields> {
  /** The words in the block's order; a plain number is an integer. */
  words(values: { [K in keyof T]: ArgWord | number }): ArgWord[]
  /** Loads every field into a variable. */
  read(f: FunctionBuilder, args: I32): FieldVariables<T>
}

export function argumentBlock<const T extends Fields>(fields: T): ArgumentBlock<T> {
  const names = Object.keys(fields)
  return {
    words: (values) =>
      names.map((name) => {
        const value = values[name]
        return typeof value === 'number' ? int(value) : value
      }),
    read: (f, args) =>
      Object.fromEntries(
        names.map((name, i) => [
          name,
          fields[name] === 'f32' ? f.let(args.loadF32(i * 4)) : f.let(args.load(i * 4)),
        ]),
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
