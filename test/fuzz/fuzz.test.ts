import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadDataset, parseTextDataset } from '../../data/index.ts'
import { memoryAccess, openShards } from '../../hub/index.ts'
import { mutant } from '../../scripts/fuzz/mutate.ts'
import { seedFiles, targets } from '../../scripts/fuzz/targets.ts'
import { AutoConfig } from '../../transformers/auto.ts'
import { ggufFolder } from '../../transformers/gguf/folder.ts'

const goldens = join(import.meta.dirname, '../goldens')

/** What was thrown, which must be an error that the library means: one line. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Error)
  expect((error as Error).message).toMatch(/^\[\w+\] [^\n]+$/)
  return (error as Error).message
}

describe('damaged files', () => {
  test.each(Object.keys(targets))('%s: real ones are read, mutants are read or refused', async (name) => {
    const files = await seedFiles(targets[name])
    expect(files.length).toBeGreaterThan(0)
    const outcomes = { read: 0, refused: 0 }
    for (let seed = 0; seed < 60; seed++) {
      try {
        await targets[name].run(mutant(files, seed))
        outcomes.read++
      } catch (error) {
        outcomes.refused++
        expect((error as Error).message).toMatch(name === 'header' ? /^[^\n]+$/ : /^\[[^\n]+$/)
      }
    }
    if (name !== 'txt') expect(outcomes.refused).toBeGreaterThan(5)
  })

  test('the same seed damages in the same way', async () => {
    const files = await seedFiles(targets.pickle)
    expect(mutant(files, 7)).toEqual(mutant(files, 7))
    expect(mutant(files, 7)).not.toEqual(mutant(files, 8))
  })
})

describe('what fuzzing found', () => {
  test('Parquet: runs without end, and a schema that does not add up', async () => {
    const files = await readdir(join(goldens, 'fuzz'))
    expect(files).toHaveLength(3)
    for (const file of files)
      expect(await refusal(loadDataset(join(goldens, 'fuzz', file)))).toContain(
        'is not a Parquet file that can be read',
      )
  })

  test('GGUF: a number of heads that no matrix has rows for', async () => {
    const bytes = await readFile(join(goldens, 'gguf/llama-q8_0.gguf'))
    const key = 'llama.attention.head_count'
    bytes.writeUInt32LE(2 ** 30, bytes.indexOf(key) + key.length + 4)
    const folder = await ggufFolder(
      {
        name: 'memory',
        text: async () => undefined,
        open: async () => memoryAccess(new Uint8Array(bytes)),
        list: async () => [],
      },
      'model.gguf',
    ).catch((error: Error) => error)
    if (folder instanceof Error) expect(folder.message).toMatch(/^\[gguf\] [^\n]+$/)
    else {
      await AutoConfig.fromPretrained(folder)
      expect(await refusal(folder.weights!())).toContain('rows for no 1073741824 heads')
    }
  })

  test('an index and a header whose errors had several lines', async () => {
    const index = '{\n "weight_map": {\n  "a": :\n }\n}'
    await refusal(openShards('memory', index, async () => new Uint8Array(0)))
    const csv = '"te\nxt",label\na,b\n'
    expect(await refusal(parseTextDataset(csv, 'memory', { format: 'csv', textColumn: 'text' }))).toContain(
      'te xt',
    )
  })
})
