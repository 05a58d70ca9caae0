/** Loading a model of all-MiniLM's shape from a folder, from the first byte to weights on the device. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { evaluate } from '../core/index.ts'
import { BertModel } from '../transformers/models/bert.ts'
import { type BenchOptions, type BenchResult, round, time } from './bench.ts'
import { miniLm } from './models.ts'

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-bench-'))
  try {
    await miniLm().savePretrained(folder)
    const { size } = await stat(join(folder, 'model.safetensors'))
    const { median } = await time(async () => {
      const model = await BertModel.fromPretrained(folder)
      // reading a number of each weight brings it to the device
      await evaluate(...Array.from(model.parameters(), (p) => p.sum()))
    }, seconds)
    return {
      value: round(median * 1000),
      unit: 'ms',
      detail: { bytes: size, 'MB/s': round(size / median / 1e6) },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
