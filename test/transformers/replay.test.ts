/** Steps of generation that are replayed: the same numbers as recorded ones, and nothing that users change is missed. */
import { beforeEach, describe, expect, test } from 'vitest'
import { backendNow } from '../../core/device.ts'
import {
  manualSeed,
  memory,
  noGrad,
  profile,
  setDebug,
  setDefaultDevice,
  type Tensor,
} from '../../core/index.ts'
import { setEager } from '../../core/modes.ts'
import { onNode } from '../../core/tensor.ts'
import { Linear } from '../../nn/index.ts'
import { type CausalModel, type GenerateOptions, generate } from '../../transformers/generation/generate.ts'
import { GPT2Config, GPT2LMHeadModel } from '../../transformers/models/gpt2.ts'
import { LlamaConfig, LlamaForCausalLM } from '../../transformers/models/llama.ts'

let nodes = 0
onNode(() => {
  nodes++
})

const TOKENS = 20
const PROMPT = [5, 17, 3, 44]

function llama(overrides: object = {}): LlamaForCausalLM {
  manualSeed(7)
  return new LlamaForCausalLM(
    new LlamaConfig({
      vocab_size: 64,
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      initializer_range: 0.3,
      pad_token_id: 0,
      ...overrides,
    }),
  ).eval()
}

function gpt2(): GPT2LMHeadModel {
  manualSeed(7)
  const sizes = { vocab_size: 64, n_positions: 64, n_embd: 32, n_layer: 2, n_head: 4 }
  return new GPT2LMHeadModel(new GPT2Config({ ...sizes, initializer_range: 0.3 })).eval()
}

/** The same model behind a plain function, of which nobody knows that its steps are alike: it is always recorded. */
function recorded(model: LlamaForCausalLM | GPT2LMHeadModel): CausalModel {
  const call = (inputs: never) => (model as (inputs: never) => { logits: Tensor })(inputs)
  return Object.assign(call, { config: model.config, generationConfig: null }) as unknown as CausalModel
}

const OPTIONS: GenerateOptions = { maxNewTokens: TOKENS, eosTokenId: null, padTokenId: 0 }

const tokensOf = async (
  model: CausalModel,
  options: GenerateOptions = {},
  prompts: number[] | number[][] = PROMPT,
) => (await generate(model, prompts, { ...OPTIONS, ...options })).sequences

/** Calls `act` when so many tokens are there. */
const after = (count: number, act: () => void) => {
  let put = 0
  return { put: () => void (put++ === count && act()), end() {} }
}

beforeEach(async () => {
  await setDefaultDevice('cpu')
})

describe('replayed steps give what recorded ones give', () => {
  test('and record nothing', async () => {
    const model = llama()
    await tokensOf(model)
    nodes = 0
    const short = await tokensOf(model)
    const forTwenty = nodes
    nodes = 0
    await tokensOf(model, { maxNewTokens: 2 * TOKENS })
    expect(nodes).toBe(forTwenty)
    nodes = 0
    expect(await tokensOf(recorded(model))).toEqual(short)
    expect(nodes).toBeGreaterThan(3 * forTwenty)
  })

  test.each([
    ['llama', () => llama()],
    [
      'a context that is stretched while it grows',
      () =>
        llama({
          max_position_embeddings: 12,
          rope_parameters: { rope_type: 'dynamic', rope_theta: 1e4, factor: 2 },
        }),
    ],
    ['yarn', () => llama({ rope_parameters: { rope_type: 'yarn', rope_theta: 1e4, factor: 2 } })],
    ['gpt2', gpt2],
  ] as const)('%s: scores of every step', async (_, make) => {
    const model = make()
    if (model.config.max_position_embeddings! < 64)
      Object.assign(model.config, { max_position_embeddings: 64 })
    const options = { ...OPTIONS, outputScores: true }
    const ours = await generate(model, PROMPT, options)
    const theirs = await generate(recorded(model), PROMPT, options)
    expect(ours.scores).toEqual(theirs.scores)
    expect(ours.newTokens).toBe(TOKENS)
  })

  test('left-padded batches', async () => {
    const model = llama()
    const prompts = [
      [0, 0, 9, 8],
      [1, 2, 3, 4],
      [0, 7, 6, 5],
    ]
    const attentionMask = prompts.map((row) => row.map((id) => (id === 0 ? 0 : 1)))
    nodes = 0
    const ours = await tokensOf(model, { attentionMask }, prompts)
    const replayed = nodes
    nodes = 0
    expect(await tokensOf(recorded(model), { attentionMask }, prompts)).toEqual(ours)
    expect(nodes).toBeGreaterThan(3 * replayed)
  })

  test('sampling', async () => {
    const model = llama()
    const draw = (m: CausalModel) => {
      manualSeed(3)
      return tokensOf(m, { doSample: true, temperature: 1.5, topK: 20, repetitionPenalty: 1.1 })
    }
    expect(await draw(model)).toEqual(await draw(recorded(model)))
  })

  test('and hold no memory afterwards', async () => {
    const model = llama()
    await tokensOf(model)
    // States count as both; those of the caches wait for the garbage collector
    const others = () => backendNow('cpu')!.memory().buffers - memory.stats().state
    const before = others()
    await tokensOf(model)
    expect(others()).toBe(before)
  })
})

describe('what is changed while tokens come is not missed', () => {
  /** Runs with a change after some tokens, replayed and recorded. */
  async function withChange(change: (model: LlamaForCausalLM) => void): Promise<void> {
    const [model, other] = [llama(), llama()]
    const plain = await tokensOf(model)
    const ours = await tokensOf(model, { streamer: after(8, () => change(model)) })
    const theirs = await tokensOf(recorded(other), { streamer: after(8, () => change(other)) })
    expect(ours).toEqual(theirs)
    expect(ours[0].slice(0, 12)).toEqual(plain[0].slice(0, 12))
    expect(ours).not.toEqual(plain)
  }

  test('a parameter', () => withChange((m) => void noGrad(() => m.model.norm.weight.mul_(-1))))
  test('a layer', () =>
    withChange((m) => {
      manualSeed(1)
      m.model.layers[0].mlp.up_proj = new Linear(32, 48, { bias: false })
    }))
  test('a forward of an instance', () =>
    withChange((m) => {
      const { mlp } = m.model.layers[1]
      const forward = mlp.forward.bind(mlp)
      mlp.forward = (x) => forward(x).mul(3)
    }))
  test('a hook', () => withChange((m) => void m.model.norm.registerForwardHook((_, __, out) => out.mul(-2))))

  test('a hook sees every token from then on', async () => {
    const model = llama()
    let calls = 0
    const hook = () => void model.registerForwardHook(() => void calls++)
    await tokensOf(model, { streamer: after(8, hook) })
    expect(calls).toBe(TOKENS - 8)
  })

  test('a subclass is asked for every token', async () => {
    let calls = 0
    class Counting extends Linear {
      override forward(x: Tensor): Tensor {
        calls++
        return super.forward(x)
      }
    }
    const model = llama()
    model.lm_head = new Counting(32, 64, { bias: false })
    await tokensOf(model)
    expect(calls).toBe(TOKENS)
  })

  test('eager mode and debug lines see every op', async () => {
    const model = llama()
    for (const [on, off] of [
      [() => setEager(true), () => setEager(false)],
      [() => setDebug(1), () => setDebug(0)],
    ]) {
      nodes = 0
      await tokensOf(model)
      const replayed = nodes
      nodes = 0
      on()
      try {
        await tokensOf(model)
      } finally {
        off()
      }
      expect(nodes).toBeGreaterThan(3 * replayed)
    }
  })

  test('a profile has the kernels of every token', async () => {
    const model = llama()
    const products = async (maxNewTokens: number) => {
      const { byOp } = await profile(() => tokensOf(model, { maxNewTokens }), { print: false })
      return byOp.filter(({ name }) => name.startsWith('matmul')).reduce((sum, { calls }) => sum + calls, 0)
    }
    const ten = await products(10)
    expect(ten).toBeGreaterThan(0)
    expect((await products(20)) - ten).toBe((await products(30)) - (await products(20)))
    expect(await products(20)).toBeGreaterThan(1.5 * ten)
  })
})
