/** A tokenizer's files in a model's folder. */

import type { OldFiles } from './convert/convert.ts'
import type { TokenizerFiles } from './pretrained-files.ts'

/** How a folder is read, so that it may be anywhere. */
export interface FolderReader {
  /** For messages: a path or a URL. */
  readonly name: string
  /** The text of a file, or undefined where there is none. */
  text(path: string): Promise<string | undefined>
  /** Names of the files in a folder below. */
  list(folder: string): Promise<string[]>
  /** A file as bytes, or undefined where there is none; without it, sentencepiece models cannot be read. */
  open?(path: string): Promise<OpenFile | undefined>
}

interface OpenFile {
  readonly size: number
  read(offset: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** Names of sentencepiece models beside old checkpoints, in the order in which they are looked for. */
const SENTENCEPIECE_FILES = ['tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model', 'spm.model']

/** The largest known has 5 MB. */
const MOST_SENTENCEPIECE_BYTES = 2 ** 28

/** The contents of a tokenizer's files in a model's folder. */
export async function readTokenizerFolder(folder: FolderReader): Promise<TokenizerFiles> {
  const tokenizerJson = await folder.text('tokenizer.json')
  const old = tokenizerJson === undefined ? await readOldFiles(folder) : undefined
  if (old && !Object.values(old).some((content) => content !== undefined)) {
    throw new Error(
      `[tokenizer] ${folder.name} has no tokenizer.json, nor an older vocabulary (vocab.txt, vocab.json, tokenizer.model)`,
    )
  }
  return {
    tokenizerJson,
    old,
    tokenizerConfig: await folder.text('tokenizer_config.json'),
    specialTokensMap: await folder.text('special_tokens_map.json'),
    chatTemplate: await folder.text('chat_template.jinja'),
    additionalChatTemplates: await readTemplates(folder),
    modelType: modelTypeOf(await folder.text('config.json')),
  }
}

async function readOldFiles(folder: FolderReader): Promise<OldFiles> {
  return {
    vocabTxt: await folder.text('vocab.txt'),
    vocabJson: await folder.text('vocab.json'),
    mergesTxt: await folder.text('merges.txt'),
    addedTokens: await folder.text('added_tokens.json'),
    sentencePiece: await readSentencePiece(folder),
  }
}

async function readSentencePiece(folder: FolderReader): Promise<Uint8Array | undefined> {
  for (const name of SENTENCEPIECE_FILES) {
    const file = await folder.open?.(name)
    if (!file) continue
    try {
      if (file.size > MOST_SENTENCEPIECE_BYTES)
        throw new Error(`[tokenizer] ${name} is too large for a vocabulary`)
      return (await file.read(0, file.size)).slice()
    } finally {
      await file.close()
    }
  }
  return undefined
}

async function readTemplates(folder: FolderReader): Promise<Record<string, string>> {
  const templates: Record<string, string> = {}
  for (const name of await folder.list('additional_chat_templates')) {
    const text = name.endsWith('.jinja') ? await folder.text(`additional_chat_templates/${name}`) : undefined
    if (text !== undefined) templates[name.slice(0, -'.jinja'.length)] = text
  }
  return templates
}

/** Of a config.json that cannot be read, somebody else complains. */
function modelTypeOf(config: string | undefined): string | undefined {
  try {
    return config === undefined ? undefined : (JSON.parse(config) as { model_type?: string }).model_type
  } catch {
    return undefined
  }
}
