/** From a checkpoint to a model. */
import { chosenBackend, expectWeights } from '../core/device.ts'
import { skipInit } from '../core/index.ts'
import { dropEffects, type StateTensor } from '../core/ops/effects.ts'
import { formatShape, numel, sameShape } from '../core/shape.ts'
import { State } from '../core/state.ts'
import { InputError, type ModelFolder, openCheckpoint, type TensorReader } from '../hub/index.ts'
import { storageDType } from '../nn/move.ts'
import { narrowFloats } from '../nn/narrow.ts'
import { Parameter } from '../nn/parameter.ts'
import { statePaths } from '../nn/state-dict.ts'
import { PretrainedConfig, type StorageDType } from './config.ts'
import { readConfigFile, readJsonFile } from './files.ts'
import { openModel } from './open-model.ts'
import type { AnyPreTrainedModel, FromPretrainedOptions, PretrainedClass } from './pretrained-model.ts'

const STORED: Readonly<Record<string, StorageDType>> = { F16: 'float16', BF16: 'bfloat16' }
/** Tables that old checkpoints carry and models make themselves. */
const BUFFERS = /(^|\.)(position_ids|token_type_ids|inv_freq|masked_bias)$/

export async function loadPretrained<M extends AnyPreTrainedModel>(
  modelClass: PretrainedClass<M>,
  source: string | ModelFolder,
  options: FromPretrainedOptions,
): Promise<M> {
  const { config: overrides, dtype: wantedDType = 'float32', ...hub } = options
  const folder = await openModel(source, hub)
  const config = await configFor(modelClass, folder, overrides)
  await using weights = await openCheckpoint(folder)
  const dtype = wantedDType === 'auto' ? dtypeOf(weights) : wantedDType
  const model = skipInit(() => new modelClass(config as never))
  config.dtype = dtype
  await loadWeights(model, modelClass, weights, dtype)
  model.generationConfig = await readJsonFile(folder, 'generation_config.json')
  model.train(false)
  return model
}

async function configFor(
  modelClass: PretrainedClass<unknown>,
  folder: ModelFolder,
  overrides: FromPretrainedOptions['config'],
): Promise<PretrainedConfig> {
  if (overrides instanceof PretrainedConfig) return overrides
  const json = await readConfigFile(folder)
  const config = new modelClass.configClass({ ...json, ...overrides })
  if (json.model_type !== undefined && json.model_type !== config.model_type)
    throw new InputError(
      `[fromPretrained] ${folder.name} holds a model of type "${json.model_type}", not "${config.model_type}": use an Auto class`,
    )
  return config
}

/** The dtype of most of a checkpoint's bytes. */
function dtypeOf(weights: TensorReader): StorageDType {
  const bytes: Record<StorageDType, number> = { float32: 0, float16: 0, bfloat16: 0 }
  for (const { dtype, byteLength } of weights.tensors.values())
    bytes[STORED[dtype] ?? 'float32'] += byteLength
  return (Object.keys(bytes) as StorageDType[]).reduce((a, b) => (bytes[b] > bytes[a] ? b : a))
}

interface Matches {
  /** Where each weight of the model is in the checkpoint. */
  found: Map<StateTensor, string>
  missing: string[]
  unexpected: string[]
}

/**
 * Pairs the checkpoint's names with the model's. A base model loads from a checkpoint with a head and the other way round:
 * the base's prefix is added or taken away where that makes a name fit.
 */
function match(
  model: AnyPreTrainedModel,
  modelClass: PretrainedClass<unknown>,
  weights: TensorReader,
): Matches {
  const targets = new Map(statePaths(model))
  const prefix = `${modelClass.baseModelPrefix}.`
  const found = new Map<StateTensor, string>()
  const unexpected: string[] = []
  const misshaped: string[] = []
  for (const [name, info] of weights.tensors) {
    if (BUFFERS.test(name)) continue
    const key = modelClass.renameWeights(name)
    if (key === null) continue
    const target =
      targets.get(key) ??
      targets.get(prefix + key) ??
      (key.startsWith(prefix) ? targets.get(key.slice(prefix.length)) : undefined)
    if (!target) unexpected.push(name)
    else if (!sameShape(info.shape, target.shape))
      misshaped.push(`${name} has shape ${formatShape(info.shape)}, not ${formatShape(target.shape)}`)
    else if (!found.has(target)) found.set(target, name)
  }
  if (misshaped.length)
    throw new InputError(
      `[fromPretrained] ${weights.name} does not fit ${modelClass.name}: ${listed(misshaped, '; ')} (does the config say the same sizes and labels?)`,
    )
  const missing = [...model.namedParameters()].filter(([, p]) => !found.has(p)).map(([name]) => name)
  if (found.size === 0)
    throw new InputError(`[fromPretrained] ${weights.name} holds no weight of ${modelClass.name}`)
  return { found, missing, unexpected }
}

const listed = (names: readonly string[], separator = ', '): string =>
  names.length > 6
    ? `${names.slice(0, 5).join(separator)} and ${names.length - 5} more`
    : names.join(separator)

async function loadWeights(
  model: AnyPreTrainedModel,
  modelClass: PretrainedClass<unknown>,
  weights: TensorReader,
  dtype: StorageDType,
): Promise<void> {
  const { found, missing, unexpected } = match(model, modelClass, weights)
  for (const [name, p] of model.namedParameters()) p.name = name
  const bytesOf = ({ shape }: StateTensor) =>
    (storageDType(shape, dtype) === 'float32' ? 4 : 2) * numel(shape)
  await expectWeights([...found.keys()].reduce((sum, target) => sum + bytesOf(target), 0))
  if (missing.length) model.initAllWeights()
  await inLanes([...found], READS, ([target, name]) =>
    read(weights, name, target, storageDType(target.shape, dtype) as StorageDType),
  )
  const notes = []
  if (missing.length) notes.push(`newly initialised, train them before use: ${listed(missing)}`)
  if (unexpected.length) notes.push(`not used from the checkpoint: ${listed(unexpected)}`)
  if (notes.length)
    console.warn(`[fromPretrained] ${modelClass.name} from ${weights.name}: ${notes.join('; ')}`)
}

/** Tensors that are read at the same time: each waits for the file system in between. */
const READS = 4

/** Calls `act` for all items, a few at a time; after the first failure no more are begun. */
async function inLanes<T>(items: T[], lanes: number, act: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const failures: unknown[] = []
  const lane = async () => {
    for (const item of waiting) {
      if (failures.length > 0) return
      await act(item).catch((error) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  if (failures.length > 0) throw failures[0]
}

async function read(
  weights: TensorReader,
  name: string,
  target: StateTensor,
  dtype: StorageDType,
): Promise<void> {
  dropEffects(target.state)
  if (target instanceof Parameter && target.dtype !== dtype)
    target.adopt(new State(target.shape, dtype, target.name))
  const { state } = target
  const isStoredSo = STORED[weights.info(name).dtype] === dtype
  const backend = chosenBackend()
  if (backend?.bytesOf && (dtype === 'float32' || isStoredSo))
    await state.fill(backend, (bytes) =>
      dtype === 'float32'
        ? weights.readFloat32(name, new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4))
        : weights.readInto(name, bytes),
    )
  else if (dtype === 'float32') state.write(await weights.readFloat32(name))
  else if (isStoredSo) {
    const bits = new Uint16Array(numel(target.shape))
    await weights.readInto(name, new Uint8Array(bits.buffer))
    state.write(bits)
  } else state.write(narrowFloats(await weights.readFloat32(name), dtype))
}
