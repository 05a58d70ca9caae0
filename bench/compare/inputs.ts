/** Models, sentences and files that all contestants share. */
import { spawnSync } from 'node:child_process'
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MODELS, saveRandomModels } from '../models.ts'
import { benchTexts } from '../texts.ts'
import type { Inputs } from './rows.ts'

export interface Where {
  models?: string
  data?: string
  python: string
  seconds: number
  /** For what is made here. */
  scratch: string
}

/** Exports take half a minute: they are kept beside the peers. */
const ONNX = fileURLToPath(new URL('../peers/node_modules/.cache/onnx', import.meta.url))

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

export async function makeInputs(
  where: Where,
  absent: (line: string) => void,
  needsOnnx: boolean,
): Promise<Inputs> {
  const models = where.models ? resolve(where.models) : join(where.scratch, 'models')
  if (!where.models) await saveRandomModels(models)
  const texts = { train: join(where.scratch, 'train.json'), dev: join(where.scratch, 'dev.json') }
  for (const part of ['train', 'dev'] as const)
    await writeFile(texts[part], JSON.stringify(await benchTexts(where, part)))
  return {
    models,
    texts,
    data: where.data ? resolve(where.data) : undefined,
    onnxModels: needsOnnx ? await onnxModels(where, models, absent) : null,
    blas: hasBlas(),
    seconds: where.seconds,
  }
}

/** MiniLM as ONNX, exported by PyTorch. Random weights are the same every time, so a kept export serves them too. */
async function onnxModels(
  where: Where,
  models: string,
  absent: (line: string) => void,
): Promise<string | null> {
  const folder = join(ONNX, where.models ? 'real' : 'random')
  const target = join(folder, MODELS.miniLm)
  if (await exists(target)) return folder
  const unfinished = `${target}.tmp`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true })
  const script = fileURLToPath(new URL('../python/export_onnx.py', import.meta.url))
  const { status, stderr, error } = spawnSync(
    where.python,
    [script, join(models, MODELS.miniLm), unfinished],
    {
      encoding: 'utf8',
    },
  )
  if (status !== 0) {
    const why = error?.message ?? stderr.trim().split('\n').at(-1)
    absent(
      `transformers.js: its ONNX model could not be exported (${why}): pip install -r bench/python/requirements.txt`,
    )
    return null
  }
  await rename(unfinished, target)
  return folder
}

/** The doctor knows. */
function hasBlas(): boolean {
  const script = fileURLToPath(new URL('../../scripts/tunesmith.ts', import.meta.url))
  const { stdout } = spawnSync(process.execPath, [script, 'doctor', '--json'], { encoding: 'utf8' })
  try {
    const { checks } = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
      checks: { name: string; status: string }[]
    }
    return checks.some(({ name, status }) => name === 'BLAS' && status === 'fine')
  } catch {
    return false
  }
}
