/** Which matrix products a system BLAS takes, and how they are handed to it. */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { Address, type AddressBits, I32, ModuleBuilder } from '../assembler.ts'
import { type ArgWord, type Dispatch, int, type NativeDispatch, shifted } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress } from '../kernels/arguments.ts'
import { type MatmulProblem, matmulProblem } from '../kernels/matmul-problem.ts'
import type { Blas } from './library.ts'

/** Products with fewer rows or columns read their matrix once, at the speed of memory: our own kernels do that. */
const LEAST_SIDE = 16
/** Fewer rows go through our kernels faster than through OpenBLAS, which packs both operands. */
const LEAST_ROWS = 40
/** Multiplications from which a call of the library pays: the table in docs/performance.md. */
const LEAST_WORK = 2 ** 22
/** Multiplications of one call: about 20 ms, so that the event loop turns in between. */
const MOST_WORK = 2 ** 31

/** The arguments of a call: three addresses of two words each, then integers. */
const ADDRESSES = ['a', 'b', 'c'] as const
const INTEGERS = ['m', 'n', 'k', 'lda', 'ldb', 'ldc', 'transposeA', 'transposeB', 'accumulate'] as const
type GemmWords = Record<(typeof ADDRESSES)[number], ArgWord> & Record<(typeof INTEGERS)[number], number>

/** A matrix of BLAS: rows that lie in memory, as they are or transposed. */
interface Layout {
  readonly transpose: boolean
  /** Elements from row to row of what lies in memory. */
  readonly ld: number
}

function layoutOf(o: CallOperand): Layout | null {
  const [rows, columns] = o.shape.slice(-2)
  const [rowStride, columnStride] = o.strides.slice(-2)
  if (columnStride === 1 && rowStride >= columns) return { transpose: false, ld: rowStride }
  if (rowStride === 1 && columnStride >= rows) return { transpose: true, ld: columnStride }
  return null
}

/** Whether the library is asked; by shape alone, so that a product gives the same bits wherever it is. */
const isWorthwhile = ({ m, n, k }: MatmulProblem): boolean =>
  m >= LEAST_ROWS && Math.min(n, k) >= LEAST_SIDE && m * n * k >= LEAST_WORK

const biasBlock = argumentBlock({ c: 'address', bias: 'address', bytes: 'i32' })

/** Unit: one row of the result, which becomes the bias. */
function emitBias(): ModuleBuilder {
  const module = new ModuleBuilder()
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = biasBlock.read(f, args)
    f.for(start, end, 1, (row) => f.memoryCopy(p.c.add(Address.of(row).mul(p.bytes)), p.bias, p.bytes))
  })
  return module
}

function biasDispatch(p: MatmulProblem, bias: CallOperand): Dispatch {
  const rows = p.batches * p.m
  const rowCost = 20 + p.n / 8
  return {
    codeKey: 'blas.bias',
    emit: emitBias,
    args: biasBlock.words({ c: operandAddress(p.c), bias: operandAddress(bias), bytes: p.n * 4 }),
    units: rows,
    grain: grainOf(rows, rowCost),
    cost: rows * rowCost,
  }
}

/** Elements from the operand's start to each of its matrices. */
function batchOffsets(o: CallOperand): number[] {
  let offsets = [0]
  for (let d = 0; d < o.shape.length - 2; d++)
    offsets = offsets.flatMap((at) => Array.from({ length: o.shape[d] }, (_, i) => at + i * o.strides[d]))
  return offsets
}

/** The product that the library computes for a kernel, or null where our own kernels do it. */
function gemmProblem(kernel: CallKernel): { p: MatmulProblem; a: Layout; b: Layout } | null {
  if (kernel.name !== 'matmul' || kernel.inputs.some((o) => o.dtype !== 'float32')) return null
  const p = matmulProblem(kernel)
  if (!isWorthwhile(p)) return null
  const [a, b] = [layoutOf(p.a), layoutOf(p.b)]
  return a && b && { p, a, b }
}

/** Whether a library takes this kernel where there is one. */
export const isGemm = (kernel: CallKernel): boolean => gemmProblem(kernel) !== null

/**
 * The calls that compute a matrix product with the library, or null where our own kernels do it: small or thin products,
 * weights kept in 16 bits, operands whose rows or columns do not lie in one run. A bias is what the result holds before the
 * library adds the product to it, in place of the zeros that it would write itself.
 */
export function lowerGemm(kernel: CallKernel, blas: () => Blas | null): (Dispatch | NativeDispatch)[] | null {
  const gemm = kernel.epilogue ? null : gemmProblem(kernel)
  if (!gemm || !blas()) return null
  const { p, a, b } = gemm
  const [atA, atB, atC] = [p.a, p.b, p.c].map(batchOffsets)
  const rowsAtATime = Math.max(LEAST_ROWS, Math.floor(MOST_WORK / (p.n * p.k)))
  const rowStrideA = p.a.strides.at(-2)!
  const calls: NativeDispatch[] = []
  for (let batch = 0; batch < p.batches; batch++)
    for (let row = 0; row < p.m; row += rowsAtATime) {
      const rows = Math.min(rowsAtATime, p.m - row)
      const words: GemmWords = {
        a: shifted(operandAddress(p.a), 4 * (atA[batch] + row * rowStrideA)),
        b: shifted(operandAddress(p.b), 4 * atB[batch]),
        c: shifted(operandAddress(p.c), 4 * (atC[batch] + row * p.n)),
        m: rows,
        n: p.n,
        k: p.k,
        lda: a.ld,
        ldb: b.ld,
        ldc: p.n,
        transposeA: Number(a.transpose),
        transposeB: Number(b.transpose),
        accumulate: Number(p.bias !== null),
      }
      const args = [...ADDRESSES.map((name) => words[name]), ...INTEGERS.map((name) => int(words[name]))]
      calls.push({ native: 'sgemm', args })
    }
  return p.bias ? [biasDispatch(p, p.bias), ...calls] : calls
}

/** Runs the call whose arguments begin at a word; `base` is where the shared memory begins in the process. */
export function runGemm(blas: Blas, words: Int32Array, args: number, base: number, bits: AddressBits): void {
  const address = (i: number) => {
    const high = bits === 64 ? words[args + 2 * i + 1] * 2 ** 32 : 0
    return base + high + (words[args + 2 * i] >>> 0)
  }
  const integers = args + 2 * ADDRESSES.length
  blas.sgemm({
    a: address(0),
    b: address(1),
    c: address(2),
    m: words[integers],
    n: words[integers + 1],
    k: words[integers + 2],
    lda: words[integers + 3],
    ldb: words[integers + 4],
    ldc: words[integers + 5],
    transposeA: words[integers + 6] === 1,
    transposeB: words[integers + 7] === 1,
    beta: words[integers + 8] === 1 ? 1 : 0,
  })
}
