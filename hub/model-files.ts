import {
  parseIndex,
  TORCH_WEIGHTS_INDEX_NAME,
  TORCH_WEIGHTS_NAME,
  WEIGHTS_INDEX_NAME,
  WEIGHTS_NAME,
} from './safetensors/checkpoint.ts'

/** Patterns of the files that a tokenizer may be made of. */
export const TOKENIZER_FILES: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
]

/**
 * Which files of a repository a model needs: all JSON, text and template files at the top, and one set of safetensors
 * weights: `model.safetensors`, else the shards, else whatever top-level safetensors files there are (adapters). A model
 * that has none of these: `pytorch_model.bin` or its shards. Other formats and copies in folders (onnx, openvino, original)
 * are left out.
 */
export function modelFiles(paths: readonly string[]): string[] {
  const weights = paths.filter((path) => /^[^/]+\.safetensors$/.test(path))
  const shards = weights.filter((path) => /^model-\d+-of-\d+\.safetensors$/.test(path))
  const chosen = weights.includes(WEIGHTS_NAME)
    ? [WEIGHTS_NAME]
    : paths.includes(WEIGHTS_INDEX_NAME) && shards.length > 0
      ? shards
      : weights.length > 0
        ? weights
        : torchWeights(paths)
  const others = paths.filter(
    (path) => /^[^/]+\.(json|txt|jinja)$/.test(path) || path === '1_Pooling/config.json',
  )
  return [...others, ...chosen]
}

function torchWeights(paths: readonly string[]): string[] {
  if (paths.includes(TORCH_WEIGHTS_NAME)) return [TORCH_WEIGHTS_NAME]
  return paths.filter((path) => /^pytorch_model-\d+-of-\d+\.bin$/.test(path))
}

/** Paths that match any of the patterns; as in Python's fnmatch, `*` stands for anything, `/` included, `?` for one. */
export function matchFiles(paths: readonly string[], patterns: readonly string[]): string[] {
  const tests = patterns.map((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')
    return new RegExp(`^${source}$`, 's')
  })
  return paths.filter((path) => tests.some((test) => test.test(path)))
}

/** How a folder is looked into, so that the rule below needs no file system. */
export interface FolderView {
  has(path: string): Promise<boolean>
  text(path: string): Promise<string>
}

/**
 * What a cached snapshot lacks, as far as that can be told without asking the Hub: without patterns a config, a
 * tokenizer and weights with all their shards; of patterns those that are plain names. A pattern with a wildcard
 * cannot be judged and counts as missing.
 */
export async function missingFiles(folder: FolderView, patterns?: readonly string[]): Promise<string[]> {
  const missing: string[] = []
  const need = async (...anyOf: string[]) => {
    for (const path of anyOf) if (await folder.has(path)) return
    missing.push(anyOf[0])
  }
  if (patterns) {
    for (const pattern of patterns) await need(pattern)
    return missing
  }
  await need('config.json', 'adapter_config.json')
  await need('tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'vocab.json')
  for (const [whole, index] of [
    [WEIGHTS_NAME, WEIGHTS_INDEX_NAME],
    [TORCH_WEIGHTS_NAME, TORCH_WEIGHTS_INDEX_NAME],
  ]) {
    if (await folder.has(whole)) return missing
    if (!(await folder.has(index))) continue
    const shards = parseIndex(index, await folder.text(index)).values()
    for (const shard of new Set(shards)) await need(shard)
    return missing
  }
  await need(WEIGHTS_NAME, 'adapter_model.safetensors')
  return missing
}
