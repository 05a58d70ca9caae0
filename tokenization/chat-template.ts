/** Chat templates, the Jinja programs that turn messages into the text a model was trained on. */
import { JinjaTemplate } from './jinja.ts'

export interface ChatMessage {
  role: string
  /** A text, or parts such as `{ type: 'text', text }`. */
  content?: string | Record<string, unknown>[] | null
  [field: string]: unknown
}

export interface ChatTemplateOptions {
  /** A template, or the name of one of the tokenizer's; default: the tokenizer's own. */
  chatTemplate?: string | null
  /** JSON schemas of functions that the model may call. */
  tools?: Record<string, unknown>[] | null
  /** Documents that the answer may rest on, with `title` and `text`. */
  documents?: Record<string, unknown>[] | null
  /** Ends with the beginning of an answer; default false. */
  addGenerationPrompt?: boolean
  /** Leaves the last message open, for the model to continue it; a string names the field to be continued. */
  continueFinalMessage?: boolean | string
  /** Further variables of the template, such as `enable_thinking`. */
  chatTemplateKwargs?: Record<string, unknown>
}

/** Stands behind the message to be continued, to find its end in the rendered text. */
const CONTINUE_TAG = 'CONTINUE_FINAL_MESSAGE_TAG '

/** Names that a message's reasoning goes under; templates read the first. */
const REASONING_FIELDS = ['reasoning_content', 'thinking', 'reasoning']

const compiled = new Map<string, JinjaTemplate>()

/** Templates kept compiled: a program uses one or two. */
const MOST_COMPILED = 16

/** The text of a conversation, as transformers' `apply_chat_template` renders it. */
export function renderChat(
  template: string,
  messages: readonly ChatMessage[],
  specialTokens: Record<string, string>,
  options: ChatTemplateOptions,
): string {
  const {
    tools = null,
    documents = null,
    addGenerationPrompt = false,
    continueFinalMessage = false,
  } = options
  if (messages.length === 0)
    throw new Error('[applyChatTemplate] the conversation is empty: give at least one message')
  if (continueFinalMessage && addGenerationPrompt) {
    throw new Error('[applyChatTemplate] continueFinalMessage and addGenerationPrompt exclude each other')
  }
  const chat = messages.map(prepare)
  const field = continueFinalMessage === true ? 'content' : continueFinalMessage
  const continued = field ? openEnd(chat, field, template) : null
  const text = render(template, {
    ...specialTokens,
    ...options.chatTemplateKwargs,
    messages: chat,
    tools,
    documents,
    add_generation_prompt: addGenerationPrompt,
  })
  return continued === null ? text : cutAtTag(text, continued)
}

function render(template: string, variables: Record<string, unknown>): string {
  let program = compiled.get(template)
  try {
    if (!program) {
      program = new JinjaTemplate(template)
      if (compiled.size >= MOST_COMPILED) compiled.clear()
      compiled.set(template, program)
    }
    return program.render(variables)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`[applyChatTemplate] the template failed: ${reason}`, { cause: error })
  }
}

/** A copy without null fields, which templates take for present, and with reasoning under the names they read. */
function prepare(message: ChatMessage): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.fromEntries(
    Object.entries(structuredClone(message)).filter(([, value]) => value !== null && value !== undefined),
  )
  const reasoning = REASONING_FIELDS.map((name) => fields[name]).find((value) => value !== undefined)
  return reasoning === undefined ? fields : { thinking: reasoning, ...fields, reasoning_content: reasoning }
}

/** Marks the end of the last message's field, and returns its text. */
function openEnd(chat: Record<string, unknown>[], field: string, template: string): string {
  const last = chat[chat.length - 1]
  const value = last[field]
  if (value === undefined) {
    throw new Error(`[applyChatTemplate] the last message has no ${JSON.stringify(field)} to continue`)
  }
  const fields = REASONING_FIELDS.includes(field)
    ? REASONING_FIELDS.filter((name) => last[name] === value)
    : [field]
  if (!fields.some((name) => template.includes(name))) {
    throw new Error(
      `[applyChatTemplate] the template does not use ${JSON.stringify(field)}: it cannot be continued`,
    )
  }
  if (Array.isArray(value)) {
    const part = value.findLast((block) => typeof block?.text === 'string')
    if (!part) throw new Error('[applyChatTemplate] the last message has no text to continue')
    const text = part.text as string
    part.text = text + CONTINUE_TAG
    return text
  }
  for (const name of fields) last[name] = `${value}${CONTINUE_TAG}`
  return String(value)
}

/** The text up to the mark; a template that strips messages has stripped the mark's space too. */
function cutAtTag(text: string, continued: string): string {
  const at = text.lastIndexOf(CONTINUE_TAG.trim())
  if (at < 0 || !text.includes(continued.trim())) {
    throw new Error(
      '[applyChatTemplate] the template changes or drops the last message: it cannot be continued',
    )
  }
  const before = text.slice(0, at)
  return text.startsWith(CONTINUE_TAG, at) ? before : before.trimEnd()
}
