/** Runs the models suite: every folder FAMILY/TASK of a directory in the goldens' format, case by case. */
import { type DeviceChoice, setDefaultDevice } from '../../core/index.ts'
import type { ModelFolder } from '../../hub/index.ts'
import { loadPretrained } from '../../transformers/load.ts'
import { familyOf } from '../../transformers/models/family.ts'
import type { AnyPreTrainedModel } from '../../transformers/pretrained-model.ts'
import { entries, readText, subfolders, within } from './folder.ts'
import { openGolden } from './golden.ts'
import { type ModelCase, runCase, Skip } from './models-cases.ts'
import type { CaseResult } from './safetensors.ts'

/** Files of a task folder that hold cases. */
const FILES = ['cases.json', 'generate.json', 'packing.json']

export interface ModelsOptions {
  device?: DeviceChoice
  /** Runs only the cases for which this holds; their paths are FAMILY/TASK/FILE/NAME. */
  wanted?: (path: string) => boolean
}

/** @param goldens a folder of FAMILY/TASK folders, each with a model and its cases */
export async function* runModels(
  goldens: ModelFolder,
  options: ModelsOptions = {},
): AsyncIterable<CaseResult> {
  if (options.device) await setDefaultDevice(options.device)
  for (const family of await subfolders(goldens))
    for (const task of await subfolders(within(goldens, family)))
      yield* runTask(within(goldens, `${family}/${task}`), `${family}/${task}`, options)
}

async function* runTask(
  folder: ModelFolder,
  name: string,
  options: ModelsOptions,
): AsyncIterable<CaseResult> {
  const files = await entries(folder)
  const configs = ['config.json', 'config_old_style.json'].filter((f) => files.includes(f))
  for (const file of FILES) {
    if (!files.includes(file)) continue
    const golden = await openGolden(folder, file)
    for (const config of configs)
      for (const c of golden.json.cases as ModelCase[]) {
        const variant = config === 'config.json' ? '' : ' (old style config)'
        const label = `${name}/${file.replace('.json', '')}/${c.name}${variant}`
        if (options.wanted && !options.wanted(label)) continue
        const load = () => loadModel(folder, config, golden.json.model_class ?? '')
        yield await result(label, () => runCase(c, golden, load))
      }
  }
}

/** A fresh model for every case: training changes it. */
async function loadModel(
  folder: ModelFolder,
  config: string,
  className: string,
): Promise<AnyPreTrainedModel> {
  const json = JSON.parse(await readText(folder, config)) as Record<string, unknown>
  const family = await familyOf(String(json.model_type))
  if (!family) throw new Skip(`model type "${json.model_type}" is not built`)
  const modelClass = Object.values(family.models).find((m) => m.name === className)
  if (!modelClass) throw new Skip(`${className} is not built`)
  return loadPretrained(modelClass, folder, { config: new family.configClass(json) })
}

async function result(label: string, run: () => Promise<string | null>): Promise<CaseResult> {
  try {
    const reason = await run()
    return reason === null ? { case: label, status: 'passed' } : { case: label, status: 'failed', reason }
  } catch (error) {
    if (error instanceof Skip) return { case: label, status: 'skipped', reason: error.message }
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { case: label, status: 'failed', reason }
  }
}
