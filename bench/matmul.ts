/** Float32 matrix products: a square, and those of all-MiniLM's and SmolLM2's layers with their gradients. */
import { evaluate, randn, type Tensor } from '../core/index.ts'
import { assign } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample } from './bench.ts'

/** [M, K] times [K, N]; `transposed` says which one is kept the other way round: a layer's weights (b), its gradient's dy (a). */
export interface MatmulCase {
  m: number
  k: number
  n: number
  transposed?: 'a' | 'b'
}

export const SQUARE: MatmulCase = { m: 1024, k: 1024, n: 1024 }

/** Of layers with T rows: forward, gradient of the input, gradient of the weights. */
const layer = (t: number, k: number, n: number): MatmulCase[] => [
  { m: t, k, n, transposed: 'b' },
  { m: t, k: n, n: k },
  { m: n, k: t, n: k, transposed: 'a' },
]

export const LAYERS: readonly MatmulCase[] = [
  ...[32, 256, 768, 4096].flatMap((t) => layer(t, 384, 1536)),
  ...[32, 256].flatMap((t) => layer(t, 576, 1536)),
]

export const caseName = ({ m, k, n, transposed }: MatmulCase): string =>
  `${m}x${k}x${n}${transposed ? ` ${transposed} transposed` : ''}`

/** Operations of one evaluation, so that starting it weighs little. */
const WORK = 1e9

/** Each sample is the median rate of about so many seconds, in GFLOP/s. */
export async function prepare({ seconds }: BenchOptions): Promise<(shape: MatmulCase) => Promise<Sample>> {
  const operands = new Map<string, { a: Tensor; b: Tensor; outputs: State[] }>()
  const operandsOf = async (shape: MatmulCase) => {
    const { m, k, n, transposed } = shape
    let made = operands.get(caseName(shape))
    if (!made) {
      const a = randn(transposed === 'a' ? [k, m] : [m, k]).retain()
      const b = randn(transposed === 'b' ? [n, k] : [k, n]).retain()
      await evaluate(a, b)
      const count = Math.max(1, Math.min(16, Math.round(WORK / (2 * m * k * n))))
      const outputs = Array.from({ length: count }, (_, i) => new State([m, n], 'float32', `product ${i}`))
      made = { a, b, outputs }
      operands.set(caseName(shape), made)
    }
    return made
  }
  return async (shape) => {
    const { a, b, outputs } = await operandsOf(shape)
    const [left, right] = [shape.transposed === 'a' ? a.t() : a, shape.transposed === 'b' ? b.t() : b]
    // the products go straight into States: nothing is left for the garbage collector, and nothing else is computed
    const compute = async () => {
      for (const output of outputs) assign(output, left.matmul(right))
      await evaluate()
    }
    await compute()
    const times: number[] = []
    const end = performance.now() + seconds * 1000
    while (times.length < 3 || performance.now() < end) {
      const start = performance.now()
      await compute()
      times.push((performance.now() - start) / 1000)
    }
    return { value: (2 * shape.m * shape.k * shape.n * outputs.length) / median(times) / 1e9 }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const shapes = [SQUARE, ...LAYERS]
  const measure = await prepare({ ...options, seconds: options.seconds / shapes.length })
  const rates: Record<string, number> = {}
  for (const shape of shapes) rates[caseName(shape)] = round((await measure(shape)).value)
  return { value: rates[caseName(SQUARE)], unit: 'GFLOP/s', detail: rates }
}
