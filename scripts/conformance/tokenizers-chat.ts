/** Cases of chat templates. */
import { join } from 'node:path'
import { type ChatMessage, type ChatTemplateOptions, renderChat } from '../../tokenization/chat-template.ts'
import { expectEqual, expectThrow, NotBuilt, type Outcome, readJson, run } from './tokenizers-case.ts'

interface GoldenChat {
  special_tokens: Record<string, string>
  conversations: Record<string, ChatMessage[]>
  templates: { name: string; template: string; cases: GoldenChatCase[] }[]
  snippet_messages: ChatMessage[]
  snippets: { template: string; expected?: string; error?: string }[]
}

interface GoldenChatCase {
  conversation: string
  arguments: Record<string, unknown>
  expected?: string
  error?: string
}

export async function* runChat(dir: string, wanted: (name: string) => boolean): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenChat>(join(dir, 'chat.json'))
  if (!golden) return
  for (const { name, template, cases } of golden.templates) {
    for (const [i, c] of cases.entries()) {
      const messages = golden.conversations[c.conversation]
      yield* run(`chat/${name}/${i}`, wanted, () => {
        expectRendered(template, messages, golden.special_tokens, optionsOf(c.arguments), c)
      })
    }
  }
  for (const [i, c] of golden.snippets.entries()) {
    yield* run(`chat/snippets/${i}`, wanted, () => {
      expectRendered(c.template, golden.snippet_messages, golden.special_tokens, {}, c)
    })
  }
}

function optionsOf(args: Record<string, unknown>): ChatTemplateOptions {
  const { add_generation_prompt, continue_final_message, tools, documents, ...chatTemplateKwargs } = args
  return {
    addGenerationPrompt: add_generation_prompt as boolean | undefined,
    continueFinalMessage: continue_final_message as boolean | undefined,
    tools: tools as ChatTemplateOptions['tools'],
    documents: documents as ChatTemplateOptions['documents'],
    chatTemplateKwargs,
  }
}

function expectRendered(
  template: string,
  messages: ChatMessage[],
  specialTokens: Record<string, string>,
  options: ChatTemplateOptions,
  { expected, error }: { expected?: string; error?: string },
): void {
  const render = () => renderChat(template, messages, specialTokens, options)
  if (error !== undefined) expectThrow(render, error)
  else expectEqual('text', renderOrSkip(render), expected)
}

/** A construct that the template library says it lacks is not built. */
function renderOrSkip(render: () => string): string {
  try {
    return render()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (/unknown|not (supported|implemented|defined)|unsupported/i.test(reason)) throw new NotBuilt(reason)
    throw error
  }
}
