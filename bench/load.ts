/** Loading SmolLM2-135M from its bfloat16 checkpoint: from the first byte to weights on the device, then to the first token. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backendFor } from '../core/device.ts'
import { AutoModelForCausalLM } from '../transformers/auto.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample, sampled } from './bench.ts'
import { MODELS, saveRandomModels } from './models.ts'

/** Each sample loads the model anew: seconds until its weights are on the device. */
export async function prepare(options: BenchOptions & { models: string }): Promise<() => Promise<Sample>> {
  const folder = join(options.models, MODELS.smolLm2)
  const backend = await backendFor(options.device)
  const load = async () => {
    const start = performance.now()
    const model = await AutoModelForCausalLM.fromPretrained(folder, { dtype: 'auto' })
    for (const p of model.parameters()) p.state.bind(backend)
    const seconds = (performance.now() - start) / 1000
    await model.generate([1], { maxNewTokens: 1, doSample: false, eosTokenId: null })
    return { value: seconds, firstTokenSeconds: (performance.now() - start) / 1000 - seconds }
  }
  // the file is then in the system's cache
  await load()
  return load
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const made = options.models ? null : await mkdtemp(join(tmpdir(), 'tunesmith-bench-'))
  try {
    if (made) await saveRandomModels(made)
    const models = options.models ?? made!
    const { size } = await stat(join(models, MODELS.smolLm2, 'model.safetensors'))
    const samples = await sampled(await prepare({ ...options, models }), options.seconds)
    const seconds = median(samples.map(({ value }) => value))
    return {
      value: round(seconds * 1000),
      unit: 'ms',
      detail: {
        bytes: size,
        'MB/s': round(size / seconds / 1e6),
        firstTokenMilliseconds: round(median(samples.map((s) => s.firstTokenSeconds as number)) * 1000),
      },
    }
  } finally {
    if (made) await rm(made, { recursive: true, force: true })
  }
}
