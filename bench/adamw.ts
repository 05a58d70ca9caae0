/** The update of AdamW alone, beside copying memory. */
import { evaluate, ones, zeros } from '../core/index.ts'
import { assign, StateTensor } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'
import { Parameter } from '../nn/index.ts'
import { AdamW } from '../nn/optim/index.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample, sampled, time } from './bench.ts'

/** As many weights as all-MiniLM has. */
const PARTS = 10
const SIZE = 2_270_000

/** Each sample is the rate of the update in GB/s, with that of a copy of 256 MiB by our own kernel. */
export async function prepare({ seconds }: BenchOptions): Promise<() => Promise<Sample>> {
  const parameters = Array.from({ length: PARTS }, () => new Parameter(ones([SIZE])))
  for (const p of parameters) p.grad = ones([SIZE]).mul(1e-3)
  const optimizer = new AdamW(parameters, { lr: 1e-5 })
  const source = new State([2 ** 26], 'float32', 'source')
  const target = new State([2 ** 26], 'float32', 'target')
  assign(source, zeros([2 ** 26]))
  return async () => {
    const update = await time(() => optimizer.step(), seconds / 2)
    const copy = await time(() => {
      assign(target, new StateTensor(source))
      return evaluate()
    }, seconds / 2)
    // weight and both moments read and written, the gradient read
    const rate = (PARTS * SIZE * 4 * 7) / update.median / 1e9
    const copyRate = (2 * 2 ** 28) / copy.median / 1e9
    return {
      value: rate,
      milliseconds: update.median * 1000,
      copyGBs: copyRate,
      shareOfCopy: rate / copyRate,
    }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const samples = await sampled(await prepare({ ...options, seconds: options.seconds / 3 }), options.seconds)
  const of = (key: string) => round(median(samples.map((s) => s[key] as number)))
  return {
    value: of('milliseconds'),
    unit: 'ms',
    detail: {
      parameters: PARTS * SIZE,
      'GB/s': of('value'),
      'copy, GB/s': of('copyGBs'),
      shareOfCopy: of('shareOfCopy'),
    },
  }
}
