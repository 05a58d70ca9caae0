import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tensor } from '../../core/index.ts'
import { openSafetensors } from '../../hub/index.ts'
import { Parameter } from '../../nn/index.ts'

/** A tensor of the file beside the JSON. */
interface Ref {
  $tensor: string
  shape: number[]
}

const HERE = new URL('../goldens/optim/', import.meta.url)
const SHARED = new URL('../../../shared/goldens/optim/', import.meta.url)

/** Folders with the optimizer goldens: the committed one, and the project's where it is there. */
export const goldenFolders = [HERE, SHARED].filter((url) => existsSync(url))

/** The JSON of a golden file, and a reader of its tensors. */
export async function readGolden<T>(folder: URL, name: string) {
  const json = JSON.parse(await readFile(new URL(`${name}.json`, folder), 'utf8')) as T
  const file = await openSafetensors(new Uint8Array(await readFile(new URL(`${name}.safetensors`, folder))))
  return { json, values: (ref: Ref) => file.readFloat32(ref.$tensor) }
}

export const parameter = (values: Float32Array, shape: readonly number[]): Parameter =>
  new Parameter(tensor(values, shape))

/** The largest |got - expected| / (1 + |expected|). */
export const distance = (got: ArrayLike<number>, expected: ArrayLike<number>): number => {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i] - expected[i]) / (1 + Math.abs(expected[i]))
    if (!(d <= worst)) worst = d
  }
  return worst
}

export type { Ref }
