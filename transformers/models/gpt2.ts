/** GPT-2 (Radford et al. 2019). Attributes are named as in checkpoints; B batch, T tokens, H hidden size, S packed sequences. */
import { affine, type Tensor } from '../../core/index.ts'
import { modes } from '../../core/modes.ts'
import {
  type AnyModule,
  Dropout,
  declareSteady,
  Embedding,
  init,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  Parameter,
} from '../../nn/index.ts'
import { activation } from '../activations.ts'
import { attend, splitHeads } from '../attention.ts'
import { causalLayout, type KeepInputs, keptTokens } from '../causal.ts'
import { type ConfigInit, PretrainedConfig } from '../config.ts'
import { type GenerateOptions, type GenerateOutput, generate } from '../generation/generate.ts'
import { causalLoss, type SpanInputs, sequenceLoss, spanOutput, tokenLoss } from '../heads.ts'
import {
  asInt,
  CAUSAL_INPUTS,
  type CausalInputs,
  checkInputs,
  headInputs,
  LABEL_INPUTS,
  type LabelInputs,
  type TensorLike,
} from '../inputs.ts'
import { checkContext, type Layout } from '../layout.ts'
import {
  type BaseModelOutput,
  type CausalOutput,
  type LogitsOutput,
  type SpanOutput,
  StateCollector,
  statesOf,
} from '../outputs.ts'
import { lastTokens } from '../pooling.ts'
import { PreTrainedModel } from '../pretrained-model.ts'
import type { ModelFamily } from './family.ts'

export class GPT2Config extends PretrainedConfig {
  readonly model_type = 'gpt2'
  vocab_size = 50257
  n_positions = 1024
  n_embd = 768
  n_layer = 12
  n_head = 12
  /** Width of the MLP; 4 n_embd unless given. */
  n_inner: number | null = null
  activation_function = 'gelu_new'
  resid_pdrop = 0.1
  embd_pdrop = 0.1
  attn_pdrop = 0.1
  layer_norm_epsilon = 1e-5
  scale_attn_weights = true
  scale_attn_by_inverse_layer_idx = false
  classifier_dropout: number | null = null
  override bos_token_id: number | null = 50256
  override eos_token_id: number | number[] | null = 50256

  constructor(init: ConfigInit<GPT2Config> = {}) {
    super()
    this.assign(init)
    if (init.add_cross_attention) throw new Error('[GPT2Config] add_cross_attention is not built')
  }

  /** The names that other families use. */
  get hidden_size(): number {
    return this.n_embd
  }
  set hidden_size(n: number) {
    this.n_embd = n
  }
  get num_hidden_layers(): number {
    return this.n_layer
  }
  set num_hidden_layers(n: number) {
    this.n_layer = n
  }
  get num_attention_heads(): number {
    return this.n_head
  }
  set num_attention_heads(n: number) {
    this.n_head = n
  }
  get max_position_embeddings(): number {
    return this.n_positions
  }
  set max_position_embeddings(n: number) {
    this.n_positions = n
  }
}

export interface GPT2Inputs extends CausalInputs {
  /** Extra token ids whose embeddings are added, int32 [B, T]. */
  tokenTypeIds?: TensorLike | null
}

const INPUTS = [...CAUSAL_INPUTS, 'tokenTypeIds'] as const

/** x W + b with W [in, out]: a linear layer whose weight lies the other way round. */
export class Conv1D extends Module {
  weight: Parameter
  bias: Parameter

  constructor(outFeatures: number, inFeatures: number) {
    super()
    this.weight = new Parameter([inFeatures, outFeatures])
    this.bias = new Parameter([outFeatures])
    if (!modes().skipInit) this.resetParameters(0.02)
  }

  resetParameters(std: number): void {
    init.normal_(this.weight, 0, std)
    init.zeros_(this.bias)
  }

  forward(x: Tensor): Tensor {
    return affine(x, this.weight, this.bias)
  }

  override extraRepr(): string {
    return `inFeatures=${this.weight.shape[0]}, outFeatures=${this.weight.shape[1]}`
  }
}

type BlockArgs = [x: Tensor, layout: Layout, states: StateCollector]

class GPT2Attention extends Module<BlockArgs, Tensor> {
  c_attn: Conv1D
  c_proj: Conv1D
  resid_dropout: Dropout
  readonly index: number
  readonly heads: number
  readonly scale: number
  readonly dropoutP: number

  constructor(c: GPT2Config, index: number) {
    super()
    if (c.n_embd % c.n_head !== 0)
      throw new RangeError(`[GPT2Config] n_embd ${c.n_embd} is not a multiple of n_head ${c.n_head}`)
    this.c_attn = new Conv1D(3 * c.n_embd, c.n_embd)
    this.c_proj = new Conv1D(c.n_embd, c.n_embd)
    this.resid_dropout = new Dropout(c.resid_pdrop)
    this.index = index
    this.heads = c.n_head
    this.dropoutP = c.attn_pdrop
    this.scale =
      (c.scale_attn_weights ? (c.n_embd / c.n_head) ** -0.5 : 1) /
      (c.scale_attn_by_inverse_layer_idx ? index + 1 : 1)
  }

  forward(x: Tensor, layout: Layout, states: StateCollector): Tensor {
    const [q, k, v] = this.c_attn(x) // [B, T, 3 H]
      .chunk(3, -1)
      .map((part) => splitHeads(part, this.heads)) // [B, heads, T, D]
    const all = layout.cache ? layout.cache.update(this.index, k, v) : { key: k, value: v }
    const { output, weights } = attend(q, all.key, all.value, layout, {
      isCausal: true,
      scale: this.scale,
      dropoutP: this.training ? this.dropoutP : 0,
      withWeights: states.withAttentions,
    })
    states.attention(weights)
    return this.resid_dropout(this.c_proj(output)) // [B, T, H]
  }
}

class GPT2MLP extends Module {
  c_fc: Conv1D
  c_proj: Conv1D
  dropout: Dropout
  readonly act: string

  constructor(c: GPT2Config) {
    super()
    const inner = c.n_inner ?? 4 * c.n_embd
    this.c_fc = new Conv1D(inner, c.n_embd)
    this.c_proj = new Conv1D(c.n_embd, inner)
    this.dropout = new Dropout(c.resid_pdrop)
    this.act = c.activation_function
  }

  forward(x: Tensor): Tensor {
    return this.dropout(this.c_proj(activation(this.act)(this.c_fc(x))))
  }
}

class GPT2Block extends Module<BlockArgs, Tensor> {
  ln_1: LayerNorm
  attn: GPT2Attention
  ln_2: LayerNorm
  mlp: GPT2MLP

  constructor(c: GPT2Config, index: number) {
    super()
    this.ln_1 = new LayerNorm(c.n_embd, { eps: c.layer_norm_epsilon })
    this.attn = new GPT2Attention(c, index)
    this.ln_2 = new LayerNorm(c.n_embd, { eps: c.layer_norm_epsilon })
    this.mlp = new GPT2MLP(c)
  }

  forward(x: Tensor, layout: Layout, states: StateCollector): Tensor {
    const attended = x.add(this.attn(this.ln_1(x), layout, states))
    return attended.add(this.mlp(this.ln_2(attended)))
  }
}

abstract class GPT2PreTrainedModel<In, Out> extends PreTrainedModel<GPT2Config, In, Out> {
  static readonly configClass = GPT2Config
  static override readonly baseModelPrefix = 'transformer'

  /** Old checkpoints carry each layer's causal mask as `attn.bias`. */
  static override renameWeights(key: string): string | null {
    return /\.attn\.bias$/.test(key) ? null : key
  }

  /** Projections that end a residual branch start smaller, by the number of branches (the GPT-2 paper's scheme). */
  protected override initWeights(module: AnyModule): void {
    super.initWeights(module)
    const { initializer_range: std, n_layer } = this.config
    if (module instanceof Conv1D) module.resetParameters(std)
    if (module instanceof GPT2Attention || module instanceof GPT2MLP)
      init.normal_(module.c_proj.weight, 0, std / Math.sqrt(2 * n_layer))
  }
}

/** The decoder without a head. */
export class GPT2Model extends GPT2PreTrainedModel<GPT2Inputs, BaseModelOutput> {
  wte: Embedding
  wpe: Embedding
  drop: Dropout
  h: ModuleList<GPT2Block>
  ln_f: LayerNorm

  constructor(config: GPT2Config) {
    super(config)
    this.wte = new Embedding(config.vocab_size, config.n_embd)
    this.wpe = new Embedding(config.n_positions, config.n_embd)
    this.drop = new Dropout(config.embd_pdrop)
    this.h = new ModuleList(Array.from({ length: config.n_layer }, (_, i) => new GPT2Block(config, i)))
    this.ln_f = new LayerNorm(config.n_embd, { eps: config.layer_norm_epsilon })
    this.postInit()
  }

  forward(inputs: GPT2Inputs): BaseModelOutput {
    checkInputs('GPT2Model', inputs, INPUTS)
    const { ids, layout } = causalLayout('GPT2Model', inputs)
    checkContext('GPT2Model', layout, this.config.n_positions)
    const states = new StateCollector(inputs)
    const words = ids ? this.wte(ids) : inputs.inputsEmbeds! // [B, T, H]
    let x = words.add(this.wpe(layout.positions))
    if (inputs.tokenTypeIds) x = x.add(this.wte(asInt('tokenTypeIds', inputs.tokenTypeIds)))
    x = this.drop(x)
    for (const block of this.h) {
      states.hidden(x)
      x = block(x, layout, states)
    }
    x = this.ln_f(x)
    states.hidden(x)
    layout.cache?.advance(layout.tokens)
    return {
      lastHiddenState: x,
      ...(layout.cache && { pastKeyValues: layout.cache }),
      ...states.output,
    }
  }
}

/** Predicts the next token: logits [B, T, V], or of the last `logitsToKeep` tokens; labels are usually the ids themselves. */
export class GPT2LMHeadModel extends GPT2PreTrainedModel<
  GPT2Inputs & LabelInputs & KeepInputs,
  CausalOutput
> {
  transformer: GPT2Model
  lm_head: Linear

  constructor(config: GPT2Config) {
    super(config)
    this.transformer = new GPT2Model(config)
    this.lm_head = new Linear(config.n_embd, config.vocab_size, { bias: false })
    if (config.tie_word_embeddings) this.lm_head.weight = this.transformer.wte.weight
    this.postInit()
  }

  forward(inputs: GPT2Inputs & LabelInputs & KeepInputs): CausalOutput {
    const own = [...LABEL_INPUTS, 'logitsToKeep']
    const { lastHiddenState, ...out } = this.transformer(headInputs('GPT2LMHeadModel', inputs, INPUTS, own))
    const logits = this.lm_head(keptTokens(lastHiddenState, inputs)) // [B, T, V]
    const loss = causalLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...out }
  }

  /** Continues prompts; see `GenerateOptions`. */
  generate(
    inputIds: Tensor | readonly number[] | readonly (readonly number[])[],
    options?: GenerateOptions,
  ): Promise<GenerateOutput> {
    return generate(this, inputIds, options)
  }
}

/** Labels for texts, from the last token: logits [B, C], or [S, C] for packed sequences. */
export class GPT2ForSequenceClassification extends GPT2PreTrainedModel<
  GPT2Inputs & LabelInputs,
  LogitsOutput
> {
  transformer: GPT2Model
  score: Linear

  constructor(config: GPT2Config) {
    super(config)
    this.transformer = new GPT2Model(config)
    this.score = new Linear(config.n_embd, config.num_labels, { bias: false })
    this.postInit()
  }

  forward(inputs: GPT2Inputs & LabelInputs): LogitsOutput {
    const name = 'GPT2ForSequenceClassification'
    const out = this.transformer(headInputs(name, inputs, INPUTS, LABEL_INPUTS))
    const logits = this.score(lastTokens(name, out.lastHiddenState, inputs, this.config.pad_token_id))
    const loss = sequenceLoss(this.config, logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Labels for tokens: logits [B, T, C]. */
export class GPT2ForTokenClassification extends GPT2PreTrainedModel<GPT2Inputs & LabelInputs, LogitsOutput> {
  transformer: GPT2Model
  dropout: Dropout
  classifier: Linear

  constructor(config: GPT2Config) {
    super(config)
    this.transformer = new GPT2Model(config)
    this.dropout = new Dropout(config.classifier_dropout ?? 0.1)
    this.classifier = new Linear(config.n_embd, config.num_labels)
    this.postInit()
  }

  forward(inputs: GPT2Inputs & LabelInputs): LogitsOutput {
    const out = this.transformer(headInputs('GPT2ForTokenClassification', inputs, INPUTS, LABEL_INPUTS))
    const logits = this.classifier(this.dropout(out.lastHiddenState))
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Where an answer begins and ends in a text. */
export class GPT2ForQuestionAnswering extends GPT2PreTrainedModel<GPT2Inputs & SpanInputs, SpanOutput> {
  transformer: GPT2Model
  qa_outputs: Linear

  constructor(config: GPT2Config) {
    super(config)
    this.transformer = new GPT2Model(config)
    this.qa_outputs = new Linear(config.n_embd, 2)
    this.postInit()
  }

  forward(inputs: GPT2Inputs & SpanInputs): SpanOutput {
    const own = ['startPositions', 'endPositions']
    const out = this.transformer(headInputs('GPT2ForQuestionAnswering', inputs, INPUTS, own))
    return { ...spanOutput(this.qa_outputs(out.lastHiddenState), inputs), ...statesOf(out) }
  }
}

declareSteady(Conv1D, GPT2Attention, GPT2MLP, GPT2Block, GPT2Model, GPT2LMHeadModel)

export const family: ModelFamily = {
  configClass: GPT2Config,
  models: {
    base: GPT2Model,
    CausalLM: GPT2LMHeadModel,
    SequenceClassification: GPT2ForSequenceClassification,
    TokenClassification: GPT2ForTokenClassification,
    QuestionAnswering: GPT2ForQuestionAnswering,
  },
}
