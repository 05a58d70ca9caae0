import { expect, test } from 'vitest'
import { tensor } from '../../core/index.ts'
import {
  AutoTokenizer,
  BertConfig,
  BertForMaskedLM,
  GPT2Config,
  GPT2LMHeadModel,
  LlamaConfig,
  LlamaForCausalLM,
} from '../../transformers/index.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

const ids = tensor(Int32Array.from([1, 2, 3, 4]), [1, 4], { dtype: 'int32' })

const models = {
  'bert, tied, with a bias': () =>
    new BertForMaskedLM(
      new BertConfig({
        vocab_size: 20,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 16,
      }),
    ),
  'gpt2, tied': () =>
    new GPT2LMHeadModel(new GPT2Config({ vocab_size: 20, n_embd: 16, n_layer: 1, n_head: 2 })),
  'llama, untied': () =>
    new LlamaForCausalLM(
      new LlamaConfig({
        vocab_size: 20,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 16,
        tie_word_embeddings: false,
      }),
    ),
}

test.each(Object.entries(models))('%s: new tokens begin as the mean, the others stay', async (_, make) => {
  const model = make()
  model.eval()
  const old = (await model({ inputIds: ids }).logits.tolist()) as number[][][]
  const parameters = [...model.namedParameters()].map(([name]) => name)
  const embedding = model.resizeTokenEmbeddings(23)
  expect(embedding.weight.shape).toEqual([23, 16])
  expect(model.config.vocab_size).toBe(23)
  expect([...model.namedParameters()].map(([name]) => name)).toEqual(parameters)
  const logits = (await model({ inputIds: ids }).logits.tolist()) as number[][][]
  for (const [t, row] of logits[0].entries()) {
    expect(row.length).toBe(23)
    const mean = old[0][t].reduce((sum, x) => sum + x, 0) / 20
    for (const [i, x] of row.entries()) expect(x).toBeCloseTo(i < 20 ? old[0][t][i] : mean, 5)
  }
  // All of it is trained, and saved as the config says.
  model.train()
  model({ inputIds: tensor(Int32Array.from([21, 22]), [1, 2], { dtype: 'int32' }) })
    .logits.sum()
    .backward()
  expect(embedding.weight.grad?.shape).toEqual([23, 16])
  model.resizeTokenEmbeddings(7)
  model.eval()
  const fewer = (await model({ inputIds: ids }).logits.tolist()) as number[][][]
  expect(fewer[0][0]).toHaveLength(7)
  expect(fewer[0][0][3]).toBeCloseTo(old[0][0][3], 5)
})

test('goes along with added tokens, and comes back from disk', async () => {
  const tokenizer = await AutoTokenizer.fromPretrained('models/generator')
  const model = await GPT2LMHeadModel.fromPretrained('models/generator')
  const added = tokenizer.addTokens(['<first>', '<second>'])
  expect(added).toBe(2)
  model.resizeTokenEmbeddings(tokenizer.length)
  const folder = await temporaryFolder()
  await model.savePretrained(folder)
  await tokenizer.savePretrained(folder)
  const again = await GPT2LMHeadModel.fromPretrained(folder)
  const { inputIds } = (await AutoTokenizer.fromPretrained(folder))('a <second> whale', {
    returnTensors: true,
  })
  expect(again.config.vocab_size).toBe(tokenizer.length)
  const [got, want] = [again, model].map((m) => m({ inputIds }).logits)
  expect(await got.tolist()).toEqual(await want.tolist())
})

test('refuses sizes that are none', () => {
  const model = models['gpt2, tied']()
  expect(() => model.resizeTokenEmbeddings(0)).toThrow('a whole number above 0, not 0')
})
