import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { noGrad, setDefaultDevice, tensor } from '../../core/index.ts'
import { openSafetensors, serializeSafetensors } from '../../hub/index.ts'
import {
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
  BertConfig,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  GPT2LMHeadModel,
  LlamaConfig,
  LlamaForCausalLM,
} from '../../transformers/index.ts'
import { hasPython, runPython } from '../hub/python.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

const goldens = (name: string) => fileURLToPath(new URL(`../goldens/models/${name}`, import.meta.url))
const BERT = goldens('bert-tiny/seq_cls_2')
const GPT2 = goldens('gpt2-tiny/train_causal_lm')
const LLAMA = goldens('llama-tiny/causal_lm')
const IDS = [[7, 8, 9, 10, 11]]

beforeAll(async () => {
  await setDefaultDevice('cpu')
})

const warn = () => vi.spyOn(console, 'warn').mockImplementation(() => {})
afterEach(() => {
  vi.restoreAllMocks()
})

describe('loading', () => {
  test('an Auto class takes what the config says', async () => {
    const notice = warn()
    const model = await AutoModelForSequenceClassification.fromPretrained(BERT)
    expect(model).toBeInstanceOf(BertForSequenceClassification)
    expect(model.training).toBe(false)
    expect(notice).not.toHaveBeenCalled()
    expect((await AutoConfig.fromPretrained(LLAMA)).model_type).toBe('llama')
    await expect(AutoModelForCausalLM.fromPretrained(BERT)).rejects.toThrow('no such head')
  })

  test('weights go straight into the memory of a device that was chosen', async () => {
    const model = await AutoModelForCausalLM.fromPretrained(LLAMA)
    await using file = await openSafetensors(join(LLAMA, 'model.safetensors'))
    const parameters = new Map(model.namedParameters())
    expect(parameters.size).toBeGreaterThan(10)
    for (const [name, p] of parameters) {
      expect(p.state.device).toBe('cpu')
      expect(await p.data()).toEqual(await file.readFloat32(name))
    }
  })

  test('an older model loads from the pickle that PyTorch saved', async () => {
    const folder = fileURLToPath(new URL('../goldens/torch/bert-tiny', import.meta.url))
    const old = await AutoModelForSequenceClassification.fromPretrained(folder)
    const same = await AutoModelForSequenceClassification.fromPretrained(BERT)
    const inputs = { inputIds: IDS }
    expect(await old(inputs).logits.data()).toEqual(await same(inputs).logits.data())
  })

  test('a base model loads from a checkpoint with a head, and the other way round', async () => {
    const notice = warn()
    const base = await BertModel.fromPretrained(BERT)
    const head = await BertForSequenceClassification.fromPretrained(BERT)
    const [a, b] = [base.embeddings.word_embeddings.weight, head.bert.embeddings.word_embeddings.weight]
    expect(await a.data()).toEqual(await b.data())
    expect(notice.mock.calls[0][0]).toMatch(/not used from the checkpoint: classifier/)

    notice.mockClear()
    const masked = await BertForMaskedLM.fromPretrained(goldens('bert-tiny/base'))
    expect(notice).toHaveBeenCalledTimes(1)
    expect(notice.mock.calls[0][0]).toMatch(/newly initialised, .*cls\.predictions\.bias/)
    const bias = await masked.getParameter('cls.predictions.bias').data()
    expect(bias.every((x) => x === 0)).toBe(true)
    const dense = await masked.getParameter('cls.predictions.transform.dense.weight').data()
    // normal with the config's initializer_range of 0.15: 1024 draws, so the estimate is within a tenth
    const std = Math.sqrt([...dense].reduce((s, x) => s + x * x, 0) / dense.length)
    expect(std).toBeGreaterThan(0.13)
    expect(std).toBeLessThan(0.17)
    expect(notice.mock.calls[0][0]).not.toMatch(/\bbert\.encoder/)
  })

  test('weights of other shapes are one error that names them', async () => {
    const config = { num_labels: 3 }
    await expect(BertForSequenceClassification.fromPretrained(BERT, { config })).rejects.toThrow(
      /classifier\.bias has shape \[2\], not \[3\]; classifier\.weight has shape \[2,32\], not \[3,32\]/,
    )
  })

  test('a folder of another model, without config, or with a broken one is refused in one line', async () => {
    await expect(BertModel.fromPretrained(GPT2)).rejects.toThrow(/holds a model of type "gpt2", not "bert"/)
    const folder = await temporaryFolder()
    await expect(BertModel.fromPretrained(folder)).rejects.toThrow(/no config\.json/)
    await writeFile(join(folder, 'config.json'), '{"model_type": "gpt5"}')
    await expect(AutoModel.fromPretrained(folder)).rejects.toThrow(/"gpt5"; built are bert/)
    await writeFile(join(folder, 'config.json'), '{"model_type"')
    await expect(AutoModel.fromPretrained(folder)).rejects.toThrow(/config\.json is not a JSON object/)
  })

  test('old names of norms and stored tables of old checkpoints', async () => {
    const notice = warn()
    const folder = await temporaryFolder()
    await using file = await openSafetensors(join(BERT, 'model.safetensors'))
    const tensors = []
    for (const { name, shape } of file.tensors.values()) {
      const old = name
        .replace(/LayerNorm\.weight$/, 'LayerNorm.gamma')
        .replace(/LayerNorm\.bias$/, 'LayerNorm.beta')
      tensors.push({ name: old, dtype: 'F32' as const, shape, bytes: (await file.read(name)).bytes })
    }
    tensors.push({
      name: 'bert.embeddings.position_ids',
      dtype: 'I64' as const,
      shape: [1, 2],
      bytes: new Uint8Array(16),
    })
    await writeFile(join(folder, 'model.safetensors'), await serializeSafetensors(tensors))
    await writeFile(join(folder, 'config.json'), await readFile(join(BERT, 'config.json')))
    const [old, now] = [folder, BERT].map((f) => BertForSequenceClassification.fromPretrained(f))
    const logits = async (m: BertForSequenceClassification) => (await m({ inputIds: IDS })).logits.data()
    expect(await logits(await old)).toEqual(await logits(await now))
    expect(notice).not.toHaveBeenCalled()
  })

  test('bfloat16 storage halves the matrices, takes no gradient and stays close', async () => {
    const full = await LlamaForCausalLM.fromPretrained(LLAMA)
    const half = await LlamaForCausalLM.fromPretrained(LLAMA, { dtype: 'bfloat16' })
    const weight = half.getParameter('model.layers.0.mlp.up_proj.weight')
    expect(weight.dtype).toBe('bfloat16')
    expect(weight.requiresGrad).toBe(false)
    expect(half.getParameter('model.norm.weight').dtype).toBe('float32')
    const [a, b] = await Promise.all(
      [full, half].map((m) => noGrad(() => m({ inputIds: IDS })).logits.data()),
    )
    const far = Math.max(...a.map((x, i) => Math.abs(x - b[i])))
    expect(far).toBeGreaterThan(0)
    expect(far).toBeLessThan(0.2)
  })
})

describe('configs', () => {
  test('old and new spelling of rotary positions and dtype are the same', async () => {
    const read = async (name: string) =>
      new LlamaConfig(JSON.parse(await readFile(join(LLAMA, name), 'utf8')) as Record<string, unknown>)
    const [now, old] = [await read('config.json'), await read('config_old_style.json')]
    expect(old.rope_parameters).toEqual(now.rope_parameters)
    expect(old.dtype).toBe('float32')
    expect(Object.keys(old.toJSON())).not.toContain('rope_theta')
  })

  test('labels keep their names, and unknown fields are carried along', () => {
    const config = new BertConfig({ id2label: { 0: 'ham', 1: 'spam' }, my_field: [1] })
    expect(config.num_labels).toBe(2)
    expect(config.label2id).toEqual({ ham: 0, spam: 1 })
    const json = JSON.parse(config.toJSONString())
    expect(json.id2label).toEqual({ 0: 'ham', 1: 'spam' })
    expect(json.my_field).toEqual([1])
    expect(new BertConfig({ num_labels: 3 }).id2label[2]).toBe('LABEL_2')
  })

  test('what is not built is refused', () => {
    expect(() => new BertConfig({ is_decoder: true })).toThrow('not built')
    expect(() => new LlamaConfig({ rope_scaling: { rope_type: 'longrope' } })).toThrow('longrope')
    expect(() => new LlamaConfig({ rope_scaling: { type: 'linear' } })).toThrow('needs the number factor')
  })
})

const LOGITS_IN_PYTHON = `
import json, sys, torch, transformers as tf
out = []
for name, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    model, info = getattr(tf, name).from_pretrained(folder, output_loading_info=True)
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([[7, 8, 9, 10, 11]])).logits
    out.append({"logits": logits.flatten().tolist(), "missing": sorted(info["missing_keys"]), "unexpected": sorted(info["unexpected_keys"])})
print(json.dumps(out))
`

const SAVED = [
  ['BertForSequenceClassification', BertForSequenceClassification, BERT],
  ['GPT2LMHeadModel', GPT2LMHeadModel, GPT2],
  ['LlamaForCausalLM', LlamaForCausalLM, LLAMA],
] as const

describe('saving', () => {
  test.each(SAVED)('%s loads again with the same logits', async (_, modelClass, source) => {
    const model = await (modelClass as typeof LlamaForCausalLM).fromPretrained(source)
    const folder = await temporaryFolder()
    await model.savePretrained(folder)
    const again = await (modelClass as typeof LlamaForCausalLM).fromPretrained(folder)
    const logits = (m: LlamaForCausalLM) => noGrad(() => m({ inputIds: IDS })).logits.data()
    expect(await logits(again)).toEqual(await logits(model))

    await using written = await openSafetensors(join(folder, 'model.safetensors'))
    await using original = await openSafetensors(join(source, 'model.safetensors'))
    expect([...written.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort())
  })

  test.skipIf(!hasPython('torch', 'transformers'))(
    'Python loads every one and computes the same logits',
    async () => {
      const folder = await temporaryFolder()
      const logits: ArrayLike<number>[] = []
      const args: string[] = []
      for (const [name, modelClass, source] of SAVED) {
        const model = await (modelClass as typeof LlamaForCausalLM).fromPretrained(source)
        await model.savePretrained(join(folder, name))
        logits.push(await noGrad(() => model({ inputIds: IDS })).logits.data())
        args.push(name, join(folder, name))
      }
      const python = (await runPython(LOGITS_IN_PYTHON, ...args)) as Record<string, number[]>[]
      for (const [i, { logits: expected, missing, unexpected }] of python.entries()) {
        expect(missing).toEqual([])
        expect(unexpected).toEqual([])
        const far = Math.max(...expected.map((x, j) => Math.abs(x - logits[i][j])))
        expect(far).toBeLessThan(2e-5)
      }
    },
    180_000,
  )

  test('in shards, and over an earlier save', async () => {
    const folder = join(await temporaryFolder(), 'model')
    await mkdir(folder)
    const model = await GPT2LMHeadModel.fromPretrained(GPT2)
    await model.savePretrained(folder)
    await model.savePretrained(folder, { maxShardSize: 50_000 })
    const again = await GPT2LMHeadModel.fromPretrained(folder)
    const weight = 'transformer.h.1.mlp.c_fc.weight'
    expect(await again.getParameter(weight).data()).toEqual(await model.getParameter(weight).data())
    expect(again.generationConfig).toEqual(model.generationConfig)
  })

  test('a tied table is one parameter, trained and saved once', async () => {
    const model = await GPT2LMHeadModel.fromPretrained(GPT2)
    expect(model.lm_head.weight).toBe(model.transformer.wte.weight)
    const names = [...model.namedParameters()].map(([name]) => name)
    expect(names).toContain('transformer.wte.weight')
    expect(names).not.toContain('lm_head.weight')
    expect(Object.keys(model.stateDict())).toEqual(names)
  })
})

describe('inputs', () => {
  test('one that a model does not have is refused, not ignored', async () => {
    const model = await BertModel.fromPretrained(goldens('bert-tiny/base'))
    const inputs = { inputIds: IDS, tokenTypesIds: IDS }
    expect(() => model(inputs)).toThrow('[BertModel] has no input "tokenTypesIds"')
    expect(() => model({})).toThrow('either inputIds or inputsEmbeds')
  })

  test('a text longer than the context names both lengths', async () => {
    const model = await BertModel.fromPretrained(goldens('bert-tiny/base'))
    const long = [Array.from({ length: 65 }, () => 7)]
    expect(() => model({ inputIds: long })).toThrow('65 tokens are more than the context of 64')
  })

  test('boundaries that do not fit the row are refused', async () => {
    const model = await BertModel.fromPretrained(goldens('bert-tiny/base'))
    expect(() => model({ inputIds: IDS, cuSeqlens: [0, 3] })).toThrow('must rise from 0 to the 5 tokens')
    expect(() => model({ inputIds: [...IDS, ...IDS], cuSeqlens: [0, 5] })).toThrow('one row, not 2')
  })
})

describe('packed sequences', () => {
  const texts = [[7, 8, 9], [10, 11, 12, 13, 14], [15]]
  const packed = { inputIds: [texts.flat()], cuSeqlens: [0, 3, 8, 9] }

  test.each([
    ['BERT', BertForSequenceClassification, BERT],
    ['GPT-2', AutoModelForSequenceClassification, goldens('gpt2-tiny/seq_cls')],
  ] as const)('%s classifies each as if it were alone', async (_, loader, folder) => {
    const model = await (loader as typeof AutoModelForSequenceClassification).fromPretrained(folder)
    const together = noGrad(() => model(packed)).logits
    expect(together.shape[0]).toBe(3)
    for (const [i, text] of texts.entries()) {
      const alone = await noGrad(() => model({ inputIds: [text] })).logits.data()
      const row = await together.select(0, i).data()
      for (const [j, x] of alone.entries()) expect(row[j]).toBeCloseTo(x, 5)
    }
  })

  test('no gradient crosses a boundary', async () => {
    const model = await BertModel.fromPretrained(goldens('bert-tiny/base'))
    const embeds = tensor(
      Float32Array.from({ length: 8 * 32 }, (_, i) => Math.sin(i)),
      [1, 8, 32],
    ).requiresGrad_()
    const { lastHiddenState } = model({ inputsEmbeds: embeds, cuSeqlens: [0, 3, 8] })
    lastHiddenState.narrow(1, 0, 3).square().sum().backward()
    const grad = await embeds.grad!.data()
    expect(grad.subarray(0, 3 * 32).some((x) => x !== 0)).toBe(true)
    expect(grad.subarray(3 * 32).every((x) => x === 0)).toBe(true)
  })
})

describe('the cache', () => {
  test('a prompt in chunks, cut back and continued, equals one pass', async () => {
    const model = await LlamaForCausalLM.fromPretrained(LLAMA)
    const ids = Array.from({ length: 12 }, (_, i) => 20 + 3 * i)
    const whole = await noGrad(() => model({ inputIds: [ids] })).logits.data()
    const last = noGrad(() => {
      const { pastKeyValues } = model({ inputIds: [ids.slice(0, 4)], useCache: true })
      model({ inputIds: [[99, 98, 97]], pastKeyValues })
      pastKeyValues!.truncate(4)
      model({ inputIds: [ids.slice(4, 9)], pastKeyValues })
      return model({ inputIds: [ids.slice(9)], pastKeyValues, logitsToKeep: 1 }).logits
    })
    expect(last.shape).toEqual([1, 1, 160])
    const got = await last.data()
    const expected = whole.subarray(11 * 160)
    for (const [i, x] of expected.entries()) expect(got[i]).toBeCloseTo(x, 4)
  })

  test('grows past its first capacity', async () => {
    const model = await GPT2LMHeadModel.fromPretrained(GPT2)
    const ids = Array.from({ length: 64 }, (_, i) => 5 + i)
    const whole = await noGrad(() => model({ inputIds: [ids], logitsToKeep: 1 })).logits.data()
    const { KVCache } = await import('../../transformers/cache.ts')
    const pastKeyValues = new KVCache()
    await noGrad(async () => {
      for (const part of [ids.slice(0, 60), ids.slice(60)]) {
        const out = model({ inputIds: [part], pastKeyValues, logitsToKeep: 1 })
        const logits = await out.logits.data()
        if (pastKeyValues.length === 64)
          for (const [i, x] of whole.entries()) expect(logits[i]).toBeCloseTo(x, 4)
      }
    })
    expect(pastKeyValues.length).toBe(64)
  })

  test('refuses to be part of a gradient', async () => {
    const model = await LlamaForCausalLM.fromPretrained(LLAMA)
    expect(() => model({ inputIds: IDS, useCache: true })).toThrow('noGrad')
  })
})
