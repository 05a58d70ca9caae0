/** From a model to the files that Python's transformers loads. */
import { fromFloat32, saveCheckpoint, type TensorToWrite } from '../hub/index.ts'
import { stateDictOf } from '../nn/state-dict.ts'
import { writeTextFile } from './files.ts'
import type { AnyPreTrainedModel } from './pretrained-model.ts'

const STORED = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const

/** Tensors are read one after another when their turn comes, so a model passes through memory piece by piece. */
function tensorsOf(model: AnyPreTrainedModel): TensorToWrite[] {
  const dtype = STORED[model.dtype]
  return Object.entries(stateDictOf(model)).map(([name, t]) => ({
    name,
    dtype,
    shape: t.shape,
    bytes: async () => fromFloat32(Float32Array.from(await t.data()), dtype),
  }))
}

export async function savePretrained(
  model: AnyPreTrainedModel,
  folder: string,
  options: { maxShardSize?: number },
): Promise<void> {
  const { config, generationConfig } = model
  config.architectures = [model.constructor.name]
  config.dtype = model.dtype
  await saveCheckpoint(folder, tensorsOf(model), options)
  if (generationConfig)
    await writeTextFile(folder, 'generation_config.json', `${JSON.stringify(generationConfig, null, 2)}\n`)
  await writeTextFile(folder, 'config.json', config.toJSONString())
}
