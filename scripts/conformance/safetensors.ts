import {
  InputError,
  type ModelFolder,
  openCheckpoint,
  openSafetensors,
  type RandomAccess,
  serializeSafetensors,
  type TensorReader,
  toBool,
  toFloat32,
  toTypedArray,
} from '../../hub/index.ts'
import { readBytes, readText, subfolders, within } from './folder.ts'

/** How one golden case went. */
export interface CaseResult {
  case: string
  status: 'passed' | 'failed' | 'skipped'
  reason?: string
}

/** An entry of `index.json`: what Python's safetensors and torch say about one file. */
interface GoldenFile {
  file: string
  ok: boolean
  error?: string
  metadata?: Record<string, string> | null
  tensors?: Record<string, { dtype: string; shape: number[]; base64: string }>
  values?: Record<string, (number | string | boolean)[]>
}

/** `expected.json` of a checkpoint in shards. Dtypes are PyTorch's. */
interface GoldenShards {
  tensors: Record<string, { dtype: string; shape: number[]; sum: number; first: number; last: number }>
}

const TORCH_DTYPES: Record<string, string> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
}

/**
 * Runs the safetensors suite over a folder in the format of `goldens/safetensors`: every file of `index.json` must be
 * refused with one line, or give the same metadata, bytes and values as in Python, from a file as from memory, and
 * again after it was written by us; then every folder below with a shard index against its `expected.json`.
 */
export async function* runSafetensors(folder: ModelFolder): AsyncIterable<CaseResult> {
  const { files } = JSON.parse(await readText(folder, 'index.json')) as { files: GoldenFile[] }
  for (const golden of files) yield await result(golden.file, () => checkFile(folder, golden))
  for (const name of await subfolders(folder))
    yield await result(name, () => checkShards(within(folder, name)))
}

async function result(name: string, check: () => Promise<void>): Promise<CaseResult> {
  try {
    await check()
    return { case: name, status: 'passed' }
  } catch (error) {
    return { case: name, status: 'failed', reason: error instanceof Error ? error.message : String(error) }
  }
}

async function checkFile(folder: ModelFolder, golden: GoldenFile): Promise<void> {
  const open = async (): Promise<RandomAccess> => {
    const file = await folder.open(golden.file)
    if (!file) throw new Error('the file is missing')
    return file
  }
  for (const input of [await open(), await readBytes(folder, golden.file)]) {
    if (!golden.ok) {
      await checkRefused(input)
      continue
    }
    await using reader = await openSafetensors(input)
    await checkContents(reader, golden)
  }
  if (golden.ok) await checkRewritten(await open(), golden)
}

async function checkRefused(input: RandomAccess | Uint8Array): Promise<void> {
  try {
    await (await openSafetensors(input)).close()
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    if (error.message.includes('\n')) throw new Error(`the error is not one line: ${error.message}`)
    return
  }
  throw new Error('accepted, must be refused')
}

async function checkContents(reader: TensorReader, golden: GoldenFile): Promise<void> {
  const expected = golden.tensors ?? {}
  same('metadata', sortedEntries(reader.metadata), sortedEntries(golden.metadata ?? null))
  same('names', [...reader.tensors.keys()].sort(), Object.keys(expected).sort())
  for (const [name, { dtype, shape, base64 }] of Object.entries(expected)) {
    const tensor = await reader.read(name)
    same(`dtype and shape of ${name}`, [tensor.dtype, tensor.shape], [dtype, shape])
    same(`bytes of ${name}`, Array.from(tensor.bytes), fromBase64(base64))
    const values = golden.values?.[name]
    if (values) same(`values of ${name}`, valuesOf(tensor), values)
  }
}

/** The elements as the goldens spell them: 64-bit integers as strings, what JSON lacks by name. */
function valuesOf(tensor: Awaited<ReturnType<TensorReader['read']>>): (number | string | boolean)[] {
  const { dtype } = tensor
  if (dtype === 'BOOL') return Array.from(toBool(tensor), Boolean)
  if (/^[IU]/.test(dtype))
    return Array.from<number | bigint, number | string>(toTypedArray(tensor), plainInteger)
  const floats = dtype === 'F64' ? (toTypedArray(tensor) as Float64Array) : toFloat32(tensor)
  return Array.from<number, number | string>(floats, plainFloat)
}

const fromBase64 = (text: string): number[] => Array.from(atob(text), (c) => c.charCodeAt(0))

function plainInteger(value: number | bigint): number | string {
  return typeof value === 'bigint' ? String(value) : value
}

function plainFloat(value: number): number | string {
  if (Number.isFinite(value)) return value
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf'
}

async function checkRewritten(file: RandomAccess, golden: GoldenFile): Promise<void> {
  await using original = await openSafetensors(file)
  const tensors = [...original.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    bytes: async () => (await original.read(name)).bytes,
  }))
  await using copy = await openSafetensors(
    await serializeSafetensors(tensors, { metadata: original.metadata }),
  )
  await checkContents(copy, golden)
}

async function checkShards(folder: ModelFolder): Promise<void> {
  const { tensors } = JSON.parse(await readText(folder, 'expected.json')) as GoldenShards
  await using reader = await openCheckpoint(folder)
  same('names', [...reader.tensors.keys()].sort(), Object.keys(tensors).sort())
  for (const [name, { dtype, shape, sum, first, last }] of Object.entries(tensors)) {
    const info = reader.info(name)
    same(`dtype and shape of ${name}`, [info.dtype, info.shape], [TORCH_DTYPES[dtype] ?? dtype, shape])
    const values = await reader.readFloat32(name)
    close(`first of ${name}`, values[0], first, 0)
    close(`last of ${name}`, values.at(-1)!, last, 0)
    const total = values.reduce((part, value) => part + value, 0)
    close(`sum of ${name}`, total, sum, 1e-9)
  }
}

function sortedEntries(object: Readonly<Record<string, string>> | null): [string, string][] | null {
  return object && Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** `Object.is` on every leaf, so that -0 is not 0. */
function same(what: string, got: unknown, expected: unknown): void {
  const equal = (a: unknown, b: unknown): boolean =>
    Array.isArray(a) && Array.isArray(b)
      ? a.length === b.length && a.every((item, i) => equal(item, b[i]))
      : Object.is(a, b)
  if (!equal(got, expected)) throw new Error(`${what}: got ${brief(got)}, expected ${brief(expected)}`)
}

function close(what: string, got: number, expected: number, tolerance: number): void {
  if (!(Math.abs(got - expected) <= tolerance * (1 + Math.abs(expected))))
    throw new Error(`${what}: got ${got}, expected ${expected}`)
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}
