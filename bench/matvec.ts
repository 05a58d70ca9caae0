/** Matrix-vector products as a language model of one sequence does them: bound by reading the weights. */
import { evaluate, randn } from '../core/index.ts'
import { assign } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'
import { Linear } from '../nn/index.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample, sampled, time } from './bench.ts'

/** SmolLM2's head. */
const [IN, OUT] = [576, 49152]
/** Used in turns: one alone could stay in a large cache. */
const TABLES = 4

interface MatvecCase {
  dtype: 'float32' | 'bfloat16'
}

/** Each sample is the median rate of about so many seconds, in GB/s of weights. */
export async function prepare({ seconds }: BenchOptions): Promise<(what: MatvecCase) => Promise<Sample>> {
  const x = randn([1, IN]).retain()
  await evaluate(x)
  const made = new Map<string, Linear[]>()
  const outputs = Array.from({ length: TABLES }, (_, i) => new State([1, OUT], 'float32', `logits ${i}`))
  return async ({ dtype }) => {
    const layers =
      made.get(dtype) ?? Array.from({ length: TABLES }, () => new Linear(IN, OUT, { bias: false }))
    if (!made.has(dtype)) {
      for (const layer of layers) {
        layer.requiresGrad_(false)
        if (dtype === 'bfloat16') await layer.to(dtype)
      }
      made.set(dtype, layers)
    }
    const { median: elapsed } = await time(() => {
      for (const [i, layer] of layers.entries()) assign(outputs[i], layer(x))
      return evaluate()
    }, seconds)
    return { value: (TABLES * IN * OUT * (dtype === 'float32' ? 4 : 2)) / elapsed / 1e9 }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const measure = await prepare({ ...options, seconds: options.seconds / 6 })
  const detail: Record<string, number> = {}
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const samples = await sampled(() => measure({ dtype }), options.seconds / 2)
    detail[`${dtype}, GB/s of weights`] = round(median(samples.map(({ value }) => value)))
  }
  return {
    value: detail['float32, GB/s of weights'],
    unit: 'GB/s',
    detail: { shape: `${IN}x${OUT}`, ...detail },
  }
}
