/** A tokenizer's files in a model's folder. */
import type { TokenizerFiles } from './pretrained-files.ts'

/** How a folder is read, so that it may be anywhere. */
export interface FolderReader {
  /** For messages: a path or a URL. */
  readonly name: string
  /** The text of a file, or undefined where there is none. */
  text(path: string): Promise<string | undefined>
  /** Names of the files in a folder below. */
  list(folder: string): Promise<string[]>
}

/** The contents of a tokenizer's files in a model's folder. */
export async function readTokenizerFolder(folder: FolderReader): Promise<TokenizerFiles> {
  const tokenizerJson = await folder.text('tokenizer.json')
  if (tokenizerJson === undefined) throw new Error(`[tokenizer] ${folder.name} has no tokenizer.json`)
  return {
    tokenizerJson,
    tokenizerConfig: await folder.text('tokenizer_config.json'),
    specialTokensMap: await folder.text('special_tokens_map.json'),
    chatTemplate: await folder.text('chat_template.jinja'),
    additionalChatTemplates: await readTemplates(folder),
    modelType: modelTypeOf(await folder.text('config.json')),
  }
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
