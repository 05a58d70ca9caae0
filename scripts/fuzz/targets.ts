/** What is fuzzed: readers of files that come from elsewhere, and real files to begin with. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openRows } from '../../data/dataset/formats.ts'
import { parseTextDataset, type TextFormat } from '../../data/index.ts'
import {
  type ModelFolder,
  memoryAccess,
  openGguf,
  openSafetensors,
  openShards,
  openTorchFile,
  type TensorReader,
} from '../../hub/index.ts'
import { parseHeaderJson } from '../../hub/safetensors/header-json.ts'
import { PreTrainedTokenizer } from '../../tokenization/index.ts'
import { AutoConfig } from '../../transformers/auto.ts'
import { ggufFolder } from '../../transformers/gguf/folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Target {
  /** Folders and files, from the root of the repository; of folders the files that match. */
  readonly files: readonly string[]
  readonly pattern?: RegExp
  /** Reads all that there is in a file; throws what the library throws. */
  run(bytes: Uint8Array): Promise<void>
}

const LARGEST_FILE = 150_000

async function readAll(reader: TensorReader): Promise<void> {
  try {
    for (const { name, dtype } of reader.tensors.values()) {
      await reader.read(name)
      if (!/^(C64|F4|F6)/.test(dtype)) await reader.readFloat32(name)
    }
  } finally {
    await reader.close()
  }
}

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const rowsOf =
  (format: 'csv' | 'tsv' | 'jsonl' | 'txt' | 'parquet', also?: TextFormat) => async (bytes: Uint8Array) => {
    const { rows } = await openRows(memoryAccess(bytes), format, {})
    let failure: unknown
    try {
      for await (const _ of rows());
    } catch (error) {
      failure = error
    }
    if (also) await parseTextDataset(utf8(bytes), 'memory', { format: also, textColumn: 'text' })
    if (failure) throw failure
  }

/** A folder with one file, which has every name that it is asked for. */
const folderOf = (bytes: Uint8Array, names: readonly string[]): ModelFolder => ({
  name: 'memory',
  text: async (path) => (names.includes(path) ? utf8(bytes) : undefined),
  open: async (path) => (names.includes(path) ? memoryAccess(bytes) : undefined),
  list: async () => [],
})

export const targets: Readonly<Record<string, Target>> = {
  safetensors: {
    files: ['test/goldens/safetensors'],
    pattern: /\.safetensors$/,
    run: async (bytes) => readAll(await openSafetensors(bytes)),
  },
  header: {
    files: ['test/goldens/safetensors'],
    pattern: /\.safetensors$/,
    run: async (bytes) => void parseHeaderJson(utf8(bytes.subarray(8))),
  },
  index: {
    files: ['test/goldens/safetensors/sharded', 'test/goldens/torch/sharded'],
    pattern: /index\.json$/,
    run: async (bytes) => readAll(await openShards('memory', utf8(bytes), async () => memoryAccess(bytes))),
  },
  pickle: {
    files: ['test/goldens/torch', 'test/goldens/torch/sharded', 'test/goldens/torch/refused'],
    pattern: /\.(bin|pt)$/,
    run: async (bytes) => readAll(await openTorchFile(bytes)),
  },
  gguf: {
    files: ['test/goldens/gguf'],
    pattern: /\.gguf$/,
    async run(bytes) {
      await using file = await openGguf(bytes)
      for (const name of file.tensors.keys()) await file.readFloat32(name)
    },
  },
  ggufModel: {
    files: ['test/goldens/gguf/llama-q8_0.gguf', 'test/goldens/gguf/llama.gguf'],
    async run(bytes) {
      const folder = await ggufFolder(folderOf(bytes, ['model.gguf']), 'model.gguf')
      await AutoConfig.fromPretrained(folder)
      await readAll(await folder.weights!())
    },
  },
  tokenizer: {
    files: ['test/goldens/tokenizers'],
    pattern: /^tokenizer\.json$/,
    async run(bytes) {
      const tokenizer = await PreTrainedTokenizer.fromFiles({ tokenizerJson: utf8(bytes) })
      const { inputIds } = tokenizer('Größe and 漢字, 3 of 4 <s> [MASK]\n\tend', {
        truncation: true,
        maxLength: 12,
      })
      tokenizer.decode(inputIds)
    },
  },
  config: {
    files: ['test/goldens/models', 'models/encoder/config.json', 'models/generator/config.json'],
    pattern: /^config\w*\.json$/,
    run: async (bytes) => {
      JSON.stringify(await AutoConfig.fromPretrained(folderOf(bytes, ['config.json'])))
    },
  },
  parquet: { files: ['test/goldens/parquet'], pattern: /\.parquet$/, run: rowsOf('parquet') },
  jsonl: { files: ['test/goldens/parquet'], pattern: /\.jsonl$/, run: rowsOf('jsonl', 'jsonl') },
  csv: { files: ['scripts/fuzz/sample.csv'], run: rowsOf('csv', 'csv') },
  tsv: { files: ['scripts/fuzz/sample.tsv'], run: rowsOf('tsv', 'tsv') },
  txt: { files: ['README.md'], run: rowsOf('txt', 'txt') },
}

/** The real files of a target, none of them large. */
export async function seedFiles({ files, pattern = /./ }: Target): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for (const file of files) {
    const path = join(root, file)
    const entries = await readdir(path, { recursive: true }).catch(() => undefined)
    const paths = entries
      ?.filter((name) => pattern.test(name.split(/[\\/]/).at(-1)!))
      .map((name) => join(path, name))
    for (const one of (paths ?? [path]).sort()) found.push(new Uint8Array(await readFile(one)))
  }
  return found.filter(({ length }) => length > 0 && length <= LARGEST_FILE)
}
