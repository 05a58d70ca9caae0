import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesOf,
  InputError,
  openCheckpoint,
  openSafetensors,
  saveCheckpoint,
  serializeSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../hub/index.ts'
import { encodeHeader } from '../../hub/safetensors/header.ts'
import { metadata, type TensorInMemory, tensors } from './arbitraries.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'

const float32 = (name: string, values: number[]): TensorInMemory => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  bytes: bytesOf(Float32Array.from(values)),
})

describe('writing', () => {
  test('what is written is read again', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (tensors, metadata) => {
        const bytes = await serializeSafetensors(tensors, { metadata })
        const reader = await openSafetensors(bytes)
        expect(reader.metadata).toEqual(metadata)
        expect(reader.tensors.size).toBe(tensors.length)
        for (const { name, dtype, shape, bytes } of tensors) {
          expect(await reader.read(name)).toEqual({ name, dtype, shape, bytes })
          const dest = new Uint8Array(new SharedArrayBuffer(bytes.length))
          await reader.readInto(name, dest)
          expect(Array.from(dest)).toEqual(Array.from(bytes))
        }
        expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0)
      }),
    )
  })

  test('the order and header are those of Python', async () => {
    const scalar = (name: string, dtype: TensorToWrite['dtype'], size: number) => ({
      name,
      dtype,
      shape: [],
      bytes: new Uint8Array(size),
    })
    const bytes = await serializeSafetensors([
      scalar('b', 'U8', 1),
      scalar('a', 'F32', 4),
      scalar('\u{10000}', 'I64', 8),
      scalar('\uffff', 'I64', 8),
      scalar('a2', 'I32', 4),
    ])
    const text = new TextDecoder().decode(bytes.subarray(8))
    expect(text).toMatch(
      /^\{"__metadata__":\{"format":"pt"\},"\uffff":\{"dtype":"I64","shape":\[\],"data_offsets":\[0,8\]\},/,
    )
    expect([...(await openSafetensors(bytes)).tensors.keys()]).toEqual([
      '\uffff',
      '\u{10000}',
      'a',
      'a2',
      'b',
    ])
  })

  test.each<[string, TensorToWrite[], string]>([
    [
      'a length that does not fit',
      [{ ...float32('w', [1]), shape: [2] }],
      'tensor "w": F32 [2] takes 8 bytes, 4 are given',
    ],
    ['a name given twice', [float32('w', [1]), float32('w', [2])], 'tensor "w": given twice'],
    ['the reserved name', [float32('__metadata__', [1])], 'reserved'],
    ['half a surrogate pair', [float32('\ud800', [1])], 'surrogate'],
    ['a negative dimension', [{ ...float32('w', [1]), shape: [-1] }], 'shape [-1] is not one'],
  ])('refuses %s', async (_, tensors, reason) => {
    await expect(serializeSafetensors(tensors)).rejects.toThrow(reason)
  })

  test('a failure half-way leaves the earlier file and nothing else', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'model.safetensors')
    await writeSafetensors(path, [float32('w', [1, 2])])
    const before = await readFile(path)
    const failing = { ...float32('x', [3]), bytes: () => Promise.reject(new Error('device lost')) }
    await expect(writeSafetensors(path, [float32('a', [1]), failing])).rejects.toThrow('device lost')
    await expect(saveCheckpoint(folder, [float32('a', [1]), failing], { maxShardSize: 4 })).rejects.toThrow(
      'device lost',
    )
    expect(await readdir(folder)).toEqual(['model.safetensors'])
    expect(await readFile(path)).toEqual(before)
  })

  test('a place that cannot be written to is named', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'taken.safetensors'))
    await writeFile(join(folder, 'file'), '')
    const writing = (path: string) => writeSafetensors(join(folder, path), [float32('w', [1])])
    await expect(writing('taken.safetensors')).rejects.toThrow(
      /cannot write .*taken\.safetensors: there is a folder/,
    )
    await expect(writing('file/x.safetensors')).rejects.toThrow(
      /cannot write .*: a part of its path is a file/,
    )
    await expect(writing('taken.safetensors')).rejects.toThrow(InputError)
    expect((await readdir(folder)).sort()).toEqual(['file', 'taken.safetensors'])
  })

  test('asks for the bytes of one tensor at a time, in the order of the file', async () => {
    const path = join(await temporaryFolder(), 'new/folder/model.safetensors')
    const log: string[] = []
    const lazy = (name: string) => ({
      ...float32(name, [1]),
      bytes: async () => {
        log.push(`begin ${name}`)
        await null
        log.push(`end ${name}`)
        return float32(name, [1]).bytes
      },
    })
    await writeSafetensors(path, [lazy('b'), lazy('a')])
    expect(log).toEqual(['begin a', 'end a', 'begin b', 'end b'])
  })
})

describe('checkpoints in shards', () => {
  const model = [float32('a', [1, 2]), float32('b', [3]), float32('c', [4, 5, 6]), float32('d', [7])]

  test('are cut below the limit and read as one', async () => {
    const folder = await temporaryFolder()
    const files = await saveCheckpoint(folder, model, { maxShardSize: 12 })
    expect(files).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      'model.safetensors.index.json',
    ])
    const index = JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'))
    expect(index.metadata).toEqual({ total_size: 28 })
    expect(index.weight_map.c).toBe('model-00002-of-00003.safetensors')
    await using reader = await openCheckpoint(folder)
    for (const { name, bytes } of model) expect((await reader.read(name)).bytes).toEqual(bytes)
    expect(reader.metadata).toEqual({ format: 'pt' })
    expect(() => reader.info('e')).toThrow(/no tensor "e" among its 4/)
  })

  test('a later save leaves no weights of an earlier one', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'adapter_model.safetensors'), 'kept')
    for (const [maxShardSize, count] of [
      [1e9, 1],
      [8, 5],
      [12, 4],
      [1e9, 1],
    ]) {
      const files = await saveCheckpoint(folder, model, { maxShardSize })
      expect(files).toHaveLength(count)
      expect((await readdir(folder)).sort()).toEqual(['adapter_model.safetensors', ...files].sort())
      await using reader = await openCheckpoint(folder)
      expect(reader.tensors.size).toBe(4)
    }
  })

  test.each<[string, (index: { weight_map: Record<string, unknown> }) => unknown, string]>([
    [
      'a file above the folder',
      (index) => ({ ...index, weight_map: { a: '../model.safetensors' } }),
      'not below the model',
    ],
    ['an absolute path', (index) => ({ ...index, weight_map: { a: '/etc/passwd' } }), 'not below the model'],
    ['a path of Windows', (index) => ({ ...index, weight_map: { a: '..\\x' } }), 'not below the model'],
    [
      'a missing shard',
      (index) => ({ weight_map: { ...index.weight_map, z: 'gone.safetensors' } }),
      'no such file',
    ],
    [
      'a tensor that is not in its shard',
      (index) => ({ weight_map: { ...index.weight_map, z: index.weight_map.a } }),
      'lists tensor "z"',
    ],
    ['no map', () => [], 'has no "weight_map"'],
    ['an empty map', () => ({ weight_map: {} }), 'is empty'],
    ['a number for a file', () => ({ weight_map: { a: 3 } }), 'must be a string'],
  ])('an index with %s is refused', async (_, change, reason) => {
    const folder = await temporaryFolder()
    await saveCheckpoint(folder, model, { maxShardSize: 12 })
    const path = join(folder, 'model.safetensors.index.json')
    await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')))))
    await expect(openCheckpoint(folder)).rejects.toThrow(reason)
  })

  test('a damaged shard is found when the checkpoint is opened', async () => {
    const folder = await temporaryFolder()
    await saveCheckpoint(folder, model, { maxShardSize: 12 })
    const shard = join(folder, 'model-00003-of-00003.safetensors')
    await writeFile(shard, (await readFile(shard)).subarray(0, -1))
    await expect(openCheckpoint(folder)).rejects.toThrow(/model-00003.*truncated/)
  })
})

describe('files', () => {
  test('a tensor behind 3 GiB of others is read alone', async () => {
    const path = join(await temporaryFolder(), 'sparse.safetensors')
    const big = { name: 'big', dtype: 'F32', shape: [3, 2 ** 28] } as const
    const header = encodeHeader([big, { name: 'last', dtype: 'U8', shape: [3] }], null)
    const handle = await open(path, 'w')
    await handle.write(header)
    await handle.write(Uint8Array.of(7, 8, 9), 0, 3, header.length + 3 * 2 ** 30)
    await handle.close()
    await using reader = await openSafetensors(path)
    expect((await reader.read('last')).bytes).toEqual(Uint8Array.of(7, 8, 9))
  })

  test('what is not there, or not a file, is named', async () => {
    const folder = await temporaryFolder()
    await expect(openSafetensors(join(folder, 'x.safetensors'))).rejects.toThrow('no such file')
    await mkdir(join(folder, 'y.safetensors'))
    await expect(openSafetensors(join(folder, 'y.safetensors'))).rejects.toThrow('is a folder')
    await expect(openCheckpoint(folder)).rejects.toThrow('holds neither model.safetensors nor')
  })

  test('a Blob is read in ranges', async () => {
    const blob = new Blob([(await serializeSafetensors([float32('w', [1, 2])])) as Uint8Array<ArrayBuffer>])
    const reader = await openSafetensors(blob)
    expect(await reader.readFloat32('w')).toEqual(Float32Array.of(1, 2))
  })

  test('a destination of the wrong size is refused', async () => {
    const reader = await openSafetensors(await serializeSafetensors([float32('w', [1, 2])]))
    await expect(reader.readInto('w', new Uint8Array(7))).rejects.toThrow(
      'takes 8 bytes, the destination has 7',
    )
    await expect(reader.readFloat32('w', new Float32Array(3))).rejects.toThrow(
      'has 2 elements, the destination 3',
    )
    await expect(reader.read('v')).rejects.toThrow('no tensor "v" among its 1 (such as "w")')
  })
})

test.runIf(hasPython('safetensors'))("Python's safetensors reads what we write", async () => {
  const path = join(await temporaryFolder(), 'model.safetensors')
  const program = `
import json, sys, safetensors
print(json.dumps([[name, t['dtype'], list(t['shape']), bytes(t['data']).hex()] for name, t in safetensors.deserialize(open(sys.argv[1], 'rb').read())]))`
  const samples = fc.sample(tensors, { numRuns: 5, seed: 1 })
  for (const sample of samples) {
    await writeSafetensors(path, sample)
    const byName = (a: unknown[], b: unknown[]) => (String(a[0]) < String(b[0]) ? -1 : 1)
    const ours = sample.map(({ name, dtype, shape, bytes }) => [
      name,
      dtype,
      shape,
      Buffer.from(bytes).toString('hex'),
    ])
    expect(((await runPython(program, path)) as unknown[][]).sort(byName)).toEqual(ours.sort(byName))
  }
})
