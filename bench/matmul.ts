/** Float32 matrix products. */
import { randn, type Tensor } from '../core/index.ts'
import { type BenchOptions, type BenchResult, round, time } from './bench.ts'

/** m x k x n; the last two are all-MiniLM's. */
const SHAPES = [
  [1024, 1024, 1024],
  [768, 384, 384],
  [768, 384, 1536],
] as const

/** Products that one run computes, so that reading the result weighs little. */
const REPEAT = 8

async function measure([m, k, n]: readonly number[], seconds: number): Promise<number> {
  const left: Tensor[] = []
  for (let i = 0; i < REPEAT; i++) left.push(randn([m, k]).retain())
  const right = randn([k, n]).retain()
  await Promise.all(left.map((t) => t.sum().item()))
  await right.sum().item()
  const { median } = await time(async () => {
    let sum = left[0].matmul(right).amax()
    for (const t of left.slice(1)) sum = sum.add(t.matmul(right).amax())
    await sum.item()
  }, seconds)
  return (2 * m * k * n * REPEAT) / median / 1e9
}

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const rates: Record<string, number> = {}
  for (const shape of SHAPES) rates[shape.join('x')] = round(await measure(shape, seconds / SHAPES.length))
  return { value: rates[SHAPES[0].join('x')], unit: 'GFLOP/s', detail: rates }
}
