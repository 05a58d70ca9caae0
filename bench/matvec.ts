/** Matrix-vector products as a language model of one sequence does them: bound by reading the weights. */
import { randn } from '../core/index.ts'
import { Linear } from '../nn/index.ts'
import { type BenchOptions, type BenchResult, round, time } from './bench.ts'

/** SmolLM2's head. */
const [IN, OUT] = [576, 49152]

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const detail: Record<string, number> = {}
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const layer = new Linear(IN, OUT, { bias: false })
    layer.requiresGrad_(false)
    if (dtype === 'bfloat16') await layer.to(dtype)
    const x = randn([1, IN]).retain()
    await x.sum().item()
    const { median } = await time(() => layer(x).amax().item(), seconds / 2)
    const bytes = IN * OUT * (dtype === 'float32' ? 4 : 2)
    detail[`${dtype}, GB/s of weights`] = round(bytes / median / 1e9)
  }
  return {
    value: detail['float32, GB/s of weights'],
    unit: 'GB/s',
    detail: { shape: `${IN}x${OUT}`, ...detail },
  }
}
