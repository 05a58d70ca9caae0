/** Cases of calling a tokenizer in the manner of transformers. */
import type { ModelFolder } from '../../hub/index.ts'
import type { CallOptions } from '../../tokenization/call-options.ts'
import type { TextInput } from '../../tokenization/encode-batch.ts'
import { PreTrainedTokenizer } from '../../tokenization/pretrained.ts'
import { readJson, readText } from './folder.ts'
import { expectEqual, expectThrow, type Outcome, run } from './tokenizers-case.ts'

interface GoldenCalls {
  special_tokens: Record<string, string>
  calls: { arguments: Record<string, unknown>; output?: Record<string, unknown>; error?: string }[]
}

export async function* runCalls(
  folder: ModelFolder,
  name: string,
  wanted: (name: string) => boolean,
): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenCalls>(folder, 'calls.json')
  if (!golden) return
  const tokenizer = await PreTrainedTokenizer.fromFiles({
    tokenizerJson: await readText(folder, 'tokenizer.json'),
    tokenizerConfig: {
      ...golden.special_tokens,
      // What the calls were made with; such a tokenizer has no configuration file.
      model_input_names: ['input_ids', 'token_type_ids', 'attention_mask'],
    },
  })
  for (const [i, c] of golden.calls.entries()) {
    yield* run(`${name}/calls/${i}`, wanted, () => {
      const { text, ...rest } = c.arguments
      const options = Object.fromEntries(Object.entries(rest).map(([key, value]) => [camelCase(key), value]))
      const call = () => tokenizer(text as TextInput, options as CallOptions)
      if (c.error !== undefined) return expectThrow(call, c.error)
      const { offset_mapping: offsets, ...output } = c.output ?? {}
      const { offsetMapping, ...fields } = { ...call() }
      const want = Object.entries(output).map(([key, value]) => [camelCase(key), value])
      expectEqual('output', fields, Object.fromEntries(want))
      if (!offsets) return expectEqual('offset mapping', offsetMapping, undefined)
      // The goldens count code points; astral letters are in few of the texts.
      const samples = (output.overflow_to_sample_mapping as number[] | undefined) ?? null
      const sequences = call()
      const rows = offsetMapping as [number, number][][]
      const own = rows.map((row, r) => {
        const sources = textsOf(c.arguments, samples ? samples[r] : r)
        const ids = sequences.sequenceIds(r)
        return row.map((offset, t) => inCodePoints(sources[ids[t] ?? 0], offset))
      })
      expectEqual('offset mapping', own, offsets)
    })
  }
}

function textsOf(args: Record<string, unknown>, sample: number): string[] {
  const pick = (value: unknown) => (Array.isArray(value) ? String(value[sample]) : String(value ?? ''))
  return [pick(args.text), pick(args.text_pair)]
}

function inCodePoints(text: string, [start, end]: [number, number]): [number, number] {
  return [Array.from(text.slice(0, start)).length, Array.from(text.slice(0, end)).length]
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
