/** Models, sentences and files that all contestants share. */
import { spawnSync } from 'node:child_process'
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findBlas } from '../../core/backends/cpu/blas/node-library.ts'
import { notice } from '../../scripts/command-line/output.ts'
import { MODELS, saveRandomModels } from '../models.ts'
import { benchTexts } from '../texts.ts'
import type { Inputs, Row } from './rows.ts'

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

/** Where everything will be; nothing is made yet. */
export function planInputs(where: Where): Inputs {
  return {
    models: where.models ? resolve(where.models) : join(where.scratch, 'models'),
    texts: { train: join(where.scratch, 'train.json'), dev: join(where.scratch, 'dev.json') },
    data: where.data ? resolve(where.data) : undefined,
    onnxModels: join(ONNX, where.models ? 'real' : 'random'),
    blas: hasBlas(),
    seconds: where.seconds,
  }
}

/** Makes what these rows need and nobody gave. */
export async function makeInputs(where: Where, inputs: Inputs, rows: readonly Row[]): Promise<void> {
  const needed = new Set(rows.flatMap(({ needs }) => needs ?? []))
  if (needed.has('models') && !where.models) await saveRandomModels(inputs.models)
  for (const part of ['train', 'dev'] as const)
    if (needed.has(part)) await writeFile(inputs.texts[part], JSON.stringify(await benchTexts(where, part)))
  if (needed.has('onnx')) await exportOnnx(where, inputs)
}

/**
 * MiniLM as ONNX, exported by PyTorch. Random weights are the same every time, so a kept export serves them too. Where it cannot
 * be made, its user says that it is missing.
 */
async function exportOnnx(where: Where, { models, onnxModels }: Inputs): Promise<void> {
  const target = join(onnxModels, MODELS.miniLm)
  if (await exists(target)) return
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
  if (status === 0) await rename(unfinished, target)
  else notice(`the ONNX model was not exported: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
}

function hasBlas(): boolean {
  try {
    return findBlas(process.env.TUNESMITH_BLAS || 'auto') !== null
  } catch {
    return false
  }
}
