/** What is compared with whom, and what is to be reached: the rows of the table. */
import { join } from 'node:path'
import { caseName, LAYERS, type MatmulCase, SQUARE } from '../matmul.ts'
import { MODELS } from '../models.ts'
import { MODES, TOKENIZERS, tokenizerFile } from '../tokenize.ts'
import type { Contestant } from './contestant.ts'

export interface Inputs {
  /** Folder of models, as on the Hub. */
  readonly models: string
  /** Files of sentences, `[{ text, label }]`. */
  readonly texts: { readonly train: string; readonly dev: string }
  readonly data?: string
  /** Folder with MiniLM as ONNX. */
  readonly onnxModels: string
  /** Whether a system BLAS is found. */
  readonly blas: boolean
  /** Seconds of one measurement of a kernel. */
  readonly seconds: number
}

export interface Row {
  readonly name: string
  readonly title: string
  readonly unit: string
  /** Whether the smaller number wins, as with times. */
  readonly lowerIsBetter?: boolean
  readonly cases: readonly { readonly name: string; readonly what: object }[]
  readonly ours: readonly Contestant[]
  readonly peers: readonly Contestant[]
  readonly targets: readonly Target[]
  /** What must be made or given before. */
  readonly needs?: readonly ('models' | 'train' | 'dev' | 'onnx')[]
}

/** How many times as fast as the peer we mean to be. */
export interface Target {
  readonly ours: string
  readonly peer: string
  /** The first case unless given. */
  readonly case?: string
  readonly atLeast: number
}

export const OURS = 'ours'
export const WITH_BLAS = 'ours + BLAS'
const ONE_THREAD = 'ours, 1 thread'

const ONCE = [{ name: '', what: {} }]
const OFF = { TUNESMITH_BLAS: 'off' }

/** Our part with our own kernels and, where there is one, with a system BLAS. */
function ourSides(inputs: Inputs, file: string, options: Record<string, unknown>): Contestant[] {
  const own: Contestant = { name: OURS, kind: 'ours', file, options, env: OFF }
  return inputs.blas ? [own, { name: WITH_BLAS, kind: 'ours', file, options }] : [own]
}

const oneThread = (file: string, options: Record<string, unknown>): Contestant => ({
  name: ONE_THREAD,
  kind: 'ours',
  file,
  options,
  env: { ...OFF, TUNESMITH_THREADS: '1' },
})

const python = (name: string, file: string, options: Record<string, unknown>): Contestant => ({
  name,
  kind: 'python',
  file,
  options,
})

const product = (shape: MatmulCase) => ({ name: caseName(shape), what: shape })
/** Few rows, as a language model's decode steps have them. */
const FEW: readonly MatmulCase[] = [1, 8].flatMap((m) => [
  { m, k: 576, n: 1536, transposed: 'b' },
  { m, k: 576, n: 49152, transposed: 'b' },
])

export function allRows(inputs: Inputs): Row[] {
  const { models, data, texts, seconds } = inputs
  const miniLm = join(models, MODELS.miniLm)
  const smolLm2 = join(models, MODELS.smolLm2)
  const timed = { seconds }
  const folders = { models, data }
  const generation = (title: string, dtype: string, batch: number, atLeast: number): Row => ({
    name: batch > 1 ? `generate-batch${batch}` : `generate-${dtype}`,
    title,
    unit: 'tokens/s',
    cases: ONCE,
    ours: ourSides(inputs, 'generate', { models, dtype, batch }),
    peers: [python('torch', 'torch_generate.py', { model: smolLm2, dtype, batch })],
    targets: [{ ours: OURS, peer: 'torch', atLeast }],
    needs: ['models'],
  })
  return [
    {
      name: 'matmul',
      title: 'float32 matrix product, 1024 x 1024 x 1024',
      unit: 'GFLOP/s',
      cases: [product(SQUARE)],
      ours: ourSides(inputs, 'matmul', timed),
      peers: [
        { name: 'jax-js', kind: 'node', file: 'jax-js.mjs', options: timed },
        { name: 'tfjs-wasm', kind: 'node', file: 'tfjs-wasm.mjs', options: timed },
        python('torch', 'torch_matmul.py', timed),
        python('numpy', 'numpy_matmul.py', timed),
      ],
      targets: [
        { ours: OURS, peer: 'jax-js', atLeast: 3 },
        { ours: OURS, peer: 'tfjs-wasm', atLeast: 2.5 },
        { ours: WITH_BLAS, peer: 'numpy', atLeast: 0.9 },
      ],
    },
    {
      name: 'matmul-layers',
      title: 'float32 matrix products of layers and their gradients',
      unit: 'GFLOP/s',
      cases: [...LAYERS, ...FEW].map(product),
      ours: ourSides(inputs, 'matmul', { seconds: seconds / 4 }),
      peers: [python('torch', 'torch_matmul.py', { seconds: seconds / 4 })],
      targets: [],
    },
    {
      name: 'matvec',
      title: 'matrix-vector products, all logits of SmolLM2 (beside reading memory)',
      unit: 'GB/s of weights',
      cases: ['float32', 'bfloat16'].map((dtype) => ({ name: dtype, what: { dtype } })),
      ours: ourSides({ ...inputs, blas: false }, 'matvec', timed),
      peers: [
        python('torch, matrix-vector', 'torch_memory.py', { what: 'matvec', seconds }),
        python('torch, sum', 'torch_memory.py', { what: 'read', seconds }),
      ],
      targets: [],
    },
    {
      name: 'finetune',
      needs: ['models', 'train'],
      title: 'fine-tuning all-MiniLM on SST-2, 32 sentences a step',
      unit: 'real tokens/s',
      cases: ONCE,
      ours: ourSides(inputs, 'finetune', folders),
      peers: [
        python('torch, padded', 'torch_finetune.py', { model: miniLm, texts: texts.train }),
        python('torch, grouped by length', 'torch_finetune.py', {
          model: miniLm,
          texts: texts.train,
          grouped: true,
        }),
      ],
      targets: [
        { ours: OURS, peer: 'torch, padded', atLeast: 1.3 },
        { ours: OURS, peer: 'torch, grouped by length', atLeast: 0.9 },
        { ours: WITH_BLAS, peer: 'torch, padded', atLeast: 2.2 },
      ],
    },
    tokenizeRow(inputs),
    {
      name: 'embed',
      needs: ['models', 'dev', 'onnx'],
      title: 'embedding the 872 dev sentences of SST-2 with all-MiniLM',
      unit: 'sentences/s',
      cases: ONCE,
      ours: ourSides(inputs, 'embed', folders),
      peers: [
        {
          name: 'transformers.js',
          kind: 'node',
          file: 'transformersjs.mjs',
          options: { onnxModels: inputs.onnxModels, model: MODELS.miniLm, texts: texts.dev },
        },
        python('torch', 'torch_embed.py', { model: miniLm, texts: texts.dev }),
      ],
      targets: [
        { ours: OURS, peer: 'transformers.js', atLeast: 1.1 },
        { ours: WITH_BLAS, peer: 'transformers.js', atLeast: 2 },
      ],
    },
    generation('SmolLM2-135M, greedy, float32', 'float32', 1, 4),
    generation('SmolLM2-135M, greedy, bfloat16', 'bfloat16', 1, 3),
    generation('SmolLM2-135M, greedy, float32, batch of 8', 'float32', 8, 2),
    {
      name: 'adamw',
      title: 'AdamW, 22.7 million weights (beside copying memory)',
      unit: 'GB/s',
      cases: ONCE,
      ours: ourSides({ ...inputs, blas: false }, 'adamw', timed),
      peers: [
        python('torch copy', 'torch_memory.py', { what: 'copy', seconds }),
        python('torch AdamW', 'torch_memory.py', { what: 'foreach', seconds }),
        python('torch AdamW, fused', 'torch_memory.py', { what: 'fused', seconds }),
      ],
      targets: [{ ours: OURS, peer: 'torch copy', atLeast: 0.7 }],
    },
    {
      name: 'load',
      needs: ['models'],
      title: 'loading SmolLM2-135M, bfloat16, 269 MB (beside reading the file)',
      unit: 's',
      lowerIsBetter: true,
      cases: ONCE,
      ours: ourSides({ ...inputs, blas: false }, 'load', { models }),
      peers: [
        {
          name: 'readFile',
          kind: 'node',
          file: 'readfile.mjs',
          options: { file: join(smolLm2, 'model.safetensors') },
        },
      ],
      targets: [{ ours: OURS, peer: 'readFile', atLeast: 1 / 1.5 }],
    },
    {
      name: 'threads-matmul',
      title: 'two threads beside one: matrix product',
      unit: 'GFLOP/s',
      cases: [SQUARE, { m: 8, k: 64, n: 64 }].map(product),
      ours: ourSides({ ...inputs, blas: false }, 'matmul', timed),
      peers: [oneThread('matmul', timed)],
      targets: [
        { ours: OURS, peer: ONE_THREAD, atLeast: 1.8 },
        { ours: OURS, peer: ONE_THREAD, case: caseName({ m: 8, k: 64, n: 64 }), atLeast: 1 },
      ],
    },
    {
      name: 'threads-finetune',
      needs: ['models', 'train'],
      title: 'two threads beside one: fine-tuning',
      unit: 'real tokens/s',
      cases: ONCE,
      ours: ourSides({ ...inputs, blas: false }, 'finetune', folders),
      peers: [oneThread('finetune', folders)],
      targets: [{ ours: OURS, peer: ONE_THREAD, atLeast: 1.8 }],
    },
  ]
}

/** Each way to tokenize beside the library's native builds and its rewrite in JavaScript, which has no offsets. */
function tokenizeRow({ models, texts, data, seconds }: Inputs): Row {
  const NATIVE = 'npm tokenizers'
  const PYTHON = 'Python tokenizers'
  const SCRIPT = '@huggingface/tokenizers'
  const timed = { models, data, seconds: seconds / 4 }
  const files = Object.fromEntries(TOKENIZERS.map((name) => [name, tokenizerFile(name, models)]))
  const peerOptions = { texts: texts.train, files, seconds: seconds / 4 }
  const env = { RAYON_NUM_THREADS: '1', TOKENIZERS_PARALLELISM: 'false' }
  const node = (name: string, packageName: string): Contestant => ({
    name,
    kind: 'node',
    file: 'tokenizers.mjs',
    options: { ...peerOptions, package: packageName },
    env,
  })
  const cases = TOKENIZERS.flatMap((tokenizer) =>
    MODES.map((mode) => ({ name: `${tokenizer}, ${mode}`, what: { tokenizer, mode } })),
  )
  return {
    name: 'tokenize',
    title: 'tokenization of SST-2 on one thread',
    needs: ['train'],
    unit: 'MB/s',
    cases,
    ours: [{ name: OURS, kind: 'ours', file: 'tokenize', options: timed }],
    peers: [
      node(NATIVE, 'tokenizers'),
      node(SCRIPT, SCRIPT),
      { name: PYTHON, kind: 'python', file: 'tokenize_texts.py', options: peerOptions, env },
    ],
    targets: cases.flatMap(({ name, what }) => [
      ...[NATIVE, PYTHON].map((peer) => ({ ours: OURS, peer, case: name, atLeast: 0.9 })),
      ...(what.tokenizer === 'byte-level BPE' ? [{ ours: OURS, peer: SCRIPT, case: name, atLeast: 1 }] : []),
    ]),
  }
}
