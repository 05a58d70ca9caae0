import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openGguf, openSafetensors } from '../../hub/index.ts'
import { hasPython, python } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'

const golden = join(import.meta.dirname, '../goldens/gguf')

/** Every tensor of types.gguf is what gguf.dequantize makes of it, to the bit. */
async function checkTypes(folder: string) {
  await using file = await openGguf(join(folder, 'types.gguf'))
  await using expected = await openSafetensors(join(folder, 'types.safetensors'))
  expect([...file.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort())
  for (const [name, { dtype, shape }] of file.tensors) {
    expect(dtype).toBe(name)
    expect(shape).toEqual(expected.info(name).shape)
    const values = await file.readFloat32(name)
    expect({ name, values }).toEqual({ name, values: await expected.readFloat32(name) })
    const shared = new Float32Array(new SharedArrayBuffer(values.byteLength))
    expect(await file.readFloat32(name, shared)).toBe(shared)
    expect(Float32Array.from(shared)).toEqual(values)
  }
  expect(file.metadata.get('test.text')).toBe('größe')
  expect(file.metadata.get('test.numbers')).toEqual([1, 2, 3])
}

describe('dequantisation', () => {
  test('of the committed file, as gguf.dequantize does it', () => checkTypes(golden))

  test.runIf(hasPython('gguf', 'safetensors'))('of what the Python here writes', async () => {
    const folder = await temporaryFolder()
    await python(join(import.meta.dirname, 'gguf_files.py'), folder, '3')
    await checkTypes(folder)
  })

  test('the bytes as they are stored', async () => {
    await using file = await openGguf(join(golden, 'llama-q8_0.gguf'))
    const bytes = await file.read('blk.0.ffn_gate.weight')
    const values = await file.readFloat32('blk.0.ffn_gate.weight')
    expect(bytes).toHaveLength((values.length / 32) * 34)
  })
})

async function refusal(bytes: Uint8Array): Promise<string> {
  try {
    await (await openGguf(bytes)).close()
  } catch (error) {
    expect((error as Error).name).toBe('GgufError')
    expect((error as Error).message).toMatch(/^\[gguf\] memory: [^\n]{1,400}$/)
    return (error as Error).message
  }
  throw new Error('accepted')
}

describe('a file that is not as it says', () => {
  const types = async () => new Uint8Array(await readFile(join(golden, 'types.gguf')))

  test('cut anywhere', async () => {
    const bytes = await types()
    for (let size = 0; size < bytes.length; size += 97)
      expect(await refusal(bytes.slice(0, size))).toMatch(/fetch it again|too few|truncated/)
  })

  test('counts and lengths of 2^60', async () => {
    for (const at of [8, 16, 24]) {
      const bytes = await types()
      new DataView(bytes.buffer).setBigUint64(at, 2n ** 60n, true)
      await refusal(bytes)
    }
  })

  test('another format, an older version, a type that is not read', async () => {
    expect(await refusal(new Uint8Array(100))).toContain('does not begin with GGUF')
    const bytes = await types()
    bytes[4] = 1
    expect(await refusal(bytes)).toContain('is of version 1')
    const text = Buffer.from(await types())
    const at = text.indexOf('Q4_0') + 4 + 4 + 16 // behind the name, the number of dimensions and the two of them
    text.writeUInt32LE(16, at)
    expect(await refusal(new Uint8Array(text))).toContain('type 16 is not read; choose a file in one of F32')
  })
})
