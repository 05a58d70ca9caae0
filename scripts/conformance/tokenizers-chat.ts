/** Cases of chat templates. */
import type { ModelFolder } from '../../hub/index.ts'
import { type ChatMessage, type ChatTemplateOptions, renderChat } from '../../tokenization/chat-template.ts'
import { readJson } from './folder.ts'
import { expectEqual, expectThrow, type Outcome, run } from './tokenizers-case.ts'

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

export async function* runChat(
  folder: ModelFolder,
  wanted: (name: string) => boolean,
): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenChat>(folder, 'chat.json')
  if (!golden) return
  for (const { name, template, cases } of golden.templates) {
    for (const [i, c] of cases.entries()) {
      const messages = golden.conversations[c.conversation]
      yield* run(`chat/${name}/${i}`, wanted, () => {
        expectRendered(() => renderChat(template, messages, golden.special_tokens, optionsOf(c.arguments)), c)
      })
    }
  }
  for (const [i, c] of golden.snippets.entries()) {
    yield* run(`chat/snippets/${i}`, wanted, () => {
      const render = () => renderChat(c.template, golden.snippet_messages, golden.special_tokens, {})
      expectRendered(render, c)
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
  render: () => string,
  { expected, error }: { expected?: string; error?: string },
): void {
  if (error !== undefined) expectThrow(render, error)
  else expectEqual('text', render(), expected)
}
