/** Reads a pair NAME.json + NAME.safetensors in the goldens' format. */
import { type ModelFolder, openSafetensors, toFloat32, toTypedArray } from '../../hub/index.ts'
import { readText } from './folder.ts'

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

export async function openGolden(folder: ModelFolder, jsonFile: string): Promise<GoldenFile> {
  const json = JSON.parse(await readText(folder, jsonFile))
  if (json.format !== 'golden/1')
    throw new Error(`[conformance] ${folder.name}/${jsonFile} is not in format golden/1`)
  const dataFile = jsonFile.replace(/\.json$/, '.safetensors')
  const tensors = new Map<string, Float32Array | Int32Array | Uint8Array>()
  const data = await folder.open(dataFile)
  if (data) {
    const file = await openSafetensors(data)
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
      if (!found) throw new Error(`[conformance] ${folder.name}/${dataFile} has no tensor ${ref.$tensor}`)
      return found
    },
  }
}
