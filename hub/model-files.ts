import { HubError, quote } from './errors.ts'
import type { ModelFolder } from './model-folder.ts'
import type { SnapshotOptions } from './options.ts'
import type { Repo } from './repo-id.ts'
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
  'tokenizer.model',
  'spiece.model',
  'sentencepiece.bpe.model',
]

/**
 * Which files of a repository a model needs: all JSON, text, template and sentencepiece files at the top, and one set of
 * weights: `model.safetensors`, else its shards, else whatever top-level safetensors files there are (adapters), else
 * PyTorch's `pytorch_model.bin` or its shards. Other formats and copies in folders (onnx, openvino, original) are left out.
 */
export function modelFiles(paths: readonly string[]): string[] {
  const others = paths.filter(
    (path) => /^[^/]+\.(json|txt|jinja|model)$/.test(path) || path === '1_Pooling/config.json',
  )
  return [...others, ...weightFiles(paths)]
}

function weightFiles(paths: readonly string[]): string[] {
  const safetensors = paths.filter((path) => /^[^/]+\.safetensors$/.test(path))
  if (safetensors.includes(WEIGHTS_NAME)) return [WEIGHTS_NAME]
  const shards = safetensors.filter((path) => /^model-\d+-of-\d+\.safetensors$/.test(path))
  if (paths.includes(WEIGHTS_INDEX_NAME) && shards.length > 0) return shards
  if (safetensors.length > 0) return safetensors
  if (paths.includes(TORCH_WEIGHTS_NAME)) return [TORCH_WEIGHTS_NAME]
  return paths.filter((path) => /^pytorch_model-\d+-of-\d+\.bin$/.test(path))
}

type Choice = Pick<SnapshotOptions, 'include' | 'exclude'>

/** One pattern or several, as a list. */
export function patternsOf(patterns: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof patterns === 'string' ? [patterns] : patterns
}

/** The paths that match one of `include` (default: all) and none of `exclude`, by the rules of Python's fnmatch. */
export function matchFiles(paths: readonly string[], { include, exclude }: Choice): string[] {
  const included = patternsOf(include)?.map(patternTest)
  const excluded = patternsOf(exclude)?.map(patternTest) ?? []
  return paths.filter(
    (path) =>
      (!included || included.some((test) => test.test(path))) && !excluded.some((test) => test.test(path)),
  )
}

/** `*` is anything, `/` included, `?` one character, `[abc]` one of several, `[!abc]` none of them, `folder/` all below. */
function patternTest(pattern: string): RegExp {
  const whole = pattern.endsWith('/') ? `${pattern}*` : pattern
  const source = whole.replace(
    /\[(!?)(\]?[^\]]*)\]|[\s\S]/g,
    (part, not: string, set: string | undefined) => {
      if (set !== undefined) return `[${not && '^'}${set.replace(/[\\\]^]/g, '\\$&')}]`
      if (part === '*') return '.*'
      if (part === '?') return '.'
      return part.replace(/[.+^${}()|[\]\\]/, '\\$&')
    },
  )
  return new RegExp(`^${source}$`, 's')
}

/**
 * The files of a repository that are wanted: those of the patterns, or what a model needs.
 *
 * @throws HubError if nothing matches, or a model has no weights that can be read.
 */
export function chooseFiles<F extends { path: string }>(
  repo: Repo,
  files: readonly F[],
  { include, exclude }: Choice,
): F[] {
  const paths = files.map(({ path }) => path)
  const asModel = include === undefined && repo.type === 'model'
  const chosen = new Set(matchFiles(asModel ? modelFiles(paths) : paths, { include, exclude }))
  if (chosen.size === 0 && paths.length > 0) {
    const wanted = patternsOf(include)?.map(quote).join(', ') ?? 'left by exclude'
    throw new HubError(`[hub] ${repo.id} has no file ${wanted} among its ${paths.length}`, {
      code: 'EntryNotFound',
    })
  }
  if (asModel && exclude === undefined && weightFiles(paths).length === 0) {
    const other = paths.find((path) => /\.(pt|gguf|onnx|h5|msgpack)$/.test(path))
    throw new HubError(
      `[hub] ${repo.id} has no weights in safetensors or pytorch_model.bin${other ? `, only ${other}` : ''}; choose a model that has, or name files with include`,
    )
  }
  return files.filter(({ path }) => chosen.has(path))
}

/**
 * What a cached snapshot seems to lack where the list of its repository's files is not known: without patterns a config and
 * weights with all their shards; a single file that was asked for; of several patterns, any file at all.
 *
 * @returns the first that is missing, if any.
 */
export async function missingFiles(
  repo: Repo,
  present: readonly string[],
  folder: ModelFolder,
  patterns?: readonly string[],
): Promise<string | undefined> {
  const has = (...anyOf: string[]) => anyOf.some((path) => present.includes(path))
  if (patterns?.length === 1 && !/[*?[]|\/$/.test(patterns[0]))
    return has(patterns[0]) ? undefined : patterns[0]
  if (patterns || repo.type !== 'model') return present.length > 0 ? undefined : (patterns?.[0] ?? 'any file')
  if (!has('config.json', 'adapter_config.json')) return 'config.json'
  if (has(WEIGHTS_NAME, TORCH_WEIGHTS_NAME, 'adapter_model.safetensors')) return undefined
  for (const name of [WEIGHTS_INDEX_NAME, TORCH_WEIGHTS_INDEX_NAME]) {
    const index = await folder.text(name)
    if (index !== undefined) return [...parseIndex(name, index).values()].find((shard) => !has(shard))
  }
  return WEIGHTS_NAME
}
