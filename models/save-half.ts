/** Saving a trained model with its weights in 16 bits (Node). */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnyPreTrainedModel, PretrainedClass } from '../transformers/pretrained-model.ts'

/**
 * Weights that are trained are float32: the model passes through a folder, from where it is loaded in 16 bits and saved
 * again, so that config, file and memory agree on the dtype.
 */
export async function saveInHalf<M extends AnyPreTrainedModel>(
  model: M,
  modelClass: PretrainedClass<M> & {
    fromPretrained(folder: string, options: { dtype: 'float16' | 'bfloat16' }): Promise<M>
  },
  folder: string,
  dtype: 'float16' | 'bfloat16',
): Promise<void> {
  const staging = await mkdtemp(join(tmpdir(), 'tunesmith-'))
  try {
    await model.savePretrained(staging)
    const half = await modelClass.fromPretrained(staging, { dtype })
    await half.savePretrained(folder)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}
