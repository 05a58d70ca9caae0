/** The update of AdamW alone. */
import { ones } from '../core/index.ts'
import { Parameter } from '../nn/index.ts'
import { AdamW } from '../nn/optim/index.ts'
import { type BenchOptions, type BenchResult, round, time } from './bench.ts'

/** As many weights as all-MiniLM has. */
const PARTS = 10
const SIZE = 2_270_000

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const parameters = Array.from({ length: PARTS }, () => new Parameter(ones([SIZE])))
  for (const p of parameters) p.grad = ones([SIZE]).mul(1e-3)
  const optimizer = new AdamW(parameters, { lr: 1e-5 })
  const { median } = await time(() => optimizer.step(), seconds)
  // weight and both moments read and written, the gradient read
  const bytes = PARTS * SIZE * 4 * 7
  return {
    value: round(median * 1000),
    unit: 'ms',
    detail: { parameters: PARTS * SIZE, 'GB/s': round(bytes / median / 1e9) },
  }
}
