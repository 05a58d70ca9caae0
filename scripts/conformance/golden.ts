/** Reads a pair NAME.json + NAME.safetensors in the goldens' format. */
import { access, readFile } from 'node:fs/promises'
import { openSafetensors, toFloat32, toTypedArray } from '../../hub/index.ts'

/** `{"$tensor": KEY, "dtype": D, "shape": S}`. */
export interface TensorRef {
  $tensor: string
  dtype: string
  shape: number[]
}

export interface GoldenFile {
  readonly json: { format: string; model_class?: string; cases: unknown[] }
  /** Elements of a tensor; integers and bools as they are. */
  numbers(ref: TensorRef): Float32Array | Int32Array | Uint8Array
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

export async function openGolden(jsonPath: string): Promise<GoldenFile> {
  const json = JSON.parse(await readFile(jsonPath, 'utf8'))
  if (json.format !== 'golden/1') throw new Error(`[conformance] ${jsonPath} is not in format golden/1`)
  const dataPath = jsonPath.replace(/\.json$/, '.safetensors')
  const tensors = new Map<string, Float32Array | Int32Array | Uint8Array>()
  if (await exists(dataPath)) {
    const file = await openSafetensors(dataPath)
    for (const name of file.tensors.keys()) {
      const t = await file.read(name)
      tensors.set(name, t.dtype === 'F32' ? toFloat32(t) : (toTypedArray(t) as Int32Array | Uint8Array))
    }
    await file.close()
  }
  return {
    json,
    numbers: (ref) => {
      const found = tensors.get(ref.$tensor)
      if (!found) throw new Error(`[conformance] ${dataPath} has no tensor ${ref.$tensor}`)
      return found
    },
  }
}
