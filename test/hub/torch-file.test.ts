import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint, openSafetensors, openTorchFile, type TensorReader } from '../../hub/index.ts'
import { hasPython, python } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'

const golden = join(import.meta.dirname, '../goldens/torch')

/** Everything that `reader` holds is what Python says it is, read in all three ways. */
async function same(reader: TensorReader, folder: string, isExpected = (_name: string) => true) {
  await using expected = await openSafetensors(join(folder, 'expected.safetensors'))
  const names = [...expected.tensors.keys()].filter(isExpected)
  expect([...reader.tensors.keys()].sort()).toEqual(names.sort())
  for (const name of names) {
    const wanted = await expected.read(name)
    const { dtype, shape, bytes } = await reader.read(name)
    expect({ name, dtype, shape, bytes: Buffer.from(bytes) }).toEqual({
      ...wanted,
      bytes: Buffer.from(wanted.bytes),
    })
    const into = new Uint8Array(bytes.length)
    await reader.readInto(name, into)
    expect(into).toEqual(new Uint8Array(bytes))
    if (dtype !== 'C64') expect(await reader.readFloat32(name)).toEqual(await expected.readFloat32(name))
  }
}

const isOld = (name: string) => !name.startsWith('new.')

/** All that the script test/hub/torch_files.py left in a folder. */
async function checkFolder(folder: string) {
  for (const file of ['plain.bin', 'protocol4.bin', 'checkpoint.pt']) {
    await using reader = await openTorchFile(join(folder, file))
    await same(reader, folder)
  }
  await using legacy = await openTorchFile(join(folder, 'legacy.bin'))
  await same(legacy, folder, isOld)
  await using sharded = await openCheckpoint(join(folder, 'sharded'))
  await same(sharded, folder)
  const refused = JSON.parse(await readFile(join(folder, 'refused/refused.json'), 'utf8'))
  for (const [file, reason] of Object.entries(refused)) {
    const message = await refusal(join(folder, 'refused', file))
    expect(message).toMatch(/^\[torch\] [^\n]{1,400}$/)
    expect(message).toContain(reason)
  }
  expect(existsSync('/tmp/tunesmith-was-here')).toBe(false)
}

async function refusal(input: string | Uint8Array): Promise<string> {
  try {
    await (await openTorchFile(input)).close()
  } catch (error) {
    expect((error as Error).name).toBe('TorchFileError')
    return (error as Error).message
  }
  throw new Error(`accepted ${String(input).slice(0, 80)}`)
}

describe('files of torch.save', () => {
  test('those committed hold what Python says', () => checkFolder(golden))

  test.runIf(hasPython('torch', 'safetensors'))('those made by the Python here', async () => {
    const folder = await temporaryFolder()
    await python(join(import.meta.dirname, 'torch_files.py'), folder, '7')
    await checkFolder(folder)
  })

  test('a folder with nothing else is read from pytorch_model.bin', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'pytorch_model.bin'), await readFile(join(golden, 'plain.bin')))
    await using reader = await openCheckpoint(folder)
    await same(reader, golden)
  })

  test('a file cut anywhere is an error of one line, never tensors', async () => {
    for (const file of ['plain.bin', 'legacy.bin']) {
      const bytes = new Uint8Array(await readFile(join(golden, file)))
      for (let size = 0; size < bytes.length; size += 101)
        expect(await refusal(bytes.slice(0, size))).toMatch(/^\[torch\] [^\n]{1,200}$/)
    }
  })
})

/** A file in the old format with the given pickle as its object. */
function legacyFile(object: number[]): Uint8Array {
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]
  const version = [0x80, 2, 0x4d, 0xe9, 3, 0x2e]
  const text = (s: string) => [0x58, s.length, 0, 0, 0, ...Buffer.from(s)]
  const machine = [0x80, 2, 0x7d, ...text('little_endian'), 0x88, 0x73, 0x2e]
  return Uint8Array.from([...magic, ...version, ...machine, ...object])
}

describe('pickles that try something', () => {
  test.each<[string, number[], string]>([
    ['an opcode that builds objects', [0x80, 2, 0x28, 0x69, 0x2e], 'opcode 0x69, which is refused'],
    ['an import', [0x80, 2, ...Buffer.from('cposix\nsystem\n'), 0x2e], 'refuses "posix.system"'],
    [
      'a name like a storage',
      [0x80, 2, ...Buffer.from('ctorch\n__class__\n'), 0x2e],
      'refuses "torch.__class__"',
    ],
    ['a text of 4 GiB', [0x80, 2, 0x58, 255, 255, 255, 255], 'ends too early'],
    ['a text of 2^63 bytes', [0x80, 4, 0x8d, 255, 255, 255, 255, 255, 255, 255, 127], 'ends too early'],
    ['an empty stack', [0x80, 2, 0x2e], 'empty stack'],
    ['a mark that is not there', [0x80, 2, 0x4e, 0x74, 0x2e], 'mark that is not there'],
    ['a list that is a number', [0x80, 2, 0x4b, 1, 0x4b, 1, 0x61, 0x2e], 'appends to what is no list'],
  ])('%s', async (_, object, reason) => {
    expect(await refusal(legacyFile(object))).toContain(reason)
  })

  test('a list in itself, and lists of lists, cost no more than their bytes', async () => {
    const doubled = [0x5d, ...Array.from({ length: 60 }, () => [0x71, 0, 0x68, 0, 0x86]).flat()]
    expect(await refusal(legacyFile([0x80, 2, ...doubled, 0x2e]))).toContain('ends too early')
  })
})
