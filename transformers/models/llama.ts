/** Llama (Touvron et al. 2023). Attributes are named as in checkpoints; B batch, T tokens, H hidden size, S packed sequences. */
import type { Tensor } from '../../core/index.ts'
import { Dropout, declareSteady, Embedding, Linear, Module, ModuleList, RMSNorm } from '../../nn/index.ts'
import { activation } from '../activations.ts'
import { attend, splitHeads } from '../attention.ts'
import { causalLayout, type KeepInputs, keptTokens } from '../causal.ts'
import { type ConfigInit, PretrainedConfig } from '../config.ts'
import { type GenerateOptions, type GenerateOutput, generate } from '../generation/generate.ts'
import { causalLoss, type SpanInputs, sequenceLoss, spanOutput, tokenLoss } from '../heads.ts'
import {
  CAUSAL_INPUTS,
  type CausalInputs,
  checkInputs,
  headInputs,
  LABEL_INPUTS,
  type LabelInputs,
} from '../inputs.ts'
import type { Layout } from '../layout.ts'
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
import { type RopeParameters, RotaryTable, ropeParameters, rotate } from '../rope.ts'
import type { ModelFamily } from './family.ts'

export class LlamaConfig extends PretrainedConfig {
  readonly model_type = 'llama'
  vocab_size = 32000
  hidden_size = 4096
  intermediate_size = 11008
  num_hidden_layers = 32
  num_attention_heads = 32
  /** Heads of keys and values; as many as of queries unless given. */
  num_key_value_heads: number
  head_dim: number
  hidden_act = 'silu'
  max_position_embeddings = 2048
  rms_norm_eps = 1e-6
  rope_parameters: RopeParameters
  attention_bias = false
  attention_dropout = 0
  mlp_bias = false
  classifier_dropout: number | null = null
  override bos_token_id: number | null = 1
  override eos_token_id: number | number[] | null = 2
  override tie_word_embeddings = false

  constructor(init: ConfigInit<LlamaConfig> = {}) {
    super()
    const { rope_theta, rope_scaling, rope_parameters, ...rest } = init as Record<string, unknown>
    this.num_key_value_heads = 0
    this.head_dim = 0
    this.rope_parameters = ropeParameters({ rope_theta, rope_scaling, rope_parameters } as never, 10_000)
    this.assign(rest)
    this.num_key_value_heads ||= this.num_attention_heads
    this.head_dim ||= this.hidden_size / this.num_attention_heads
  }
}

type LayerArgs = [x: Tensor, rope: { cos: Tensor; sin: Tensor }, layout: Layout, states: StateCollector]

class LlamaAttention extends Module<LayerArgs, Tensor> {
  q_proj: Linear
  k_proj: Linear
  v_proj: Linear
  o_proj: Linear
  readonly index: number
  readonly config: LlamaConfig

  constructor(c: LlamaConfig, index: number) {
    super()
    const bias = c.attention_bias
    const [wide, narrow] = [c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim]
    this.q_proj = new Linear(c.hidden_size, wide, { bias })
    this.k_proj = new Linear(c.hidden_size, narrow, { bias })
    this.v_proj = new Linear(c.hidden_size, narrow, { bias })
    this.o_proj = new Linear(wide, c.hidden_size, { bias })
    this.index = index
    this.config = c
  }

  forward(x: Tensor, rope: { cos: Tensor; sin: Tensor }, layout: Layout, states: StateCollector): Tensor {
    const c = this.config
    const q = rotate(splitHeads(this.q_proj(x), c.num_attention_heads), rope.cos, rope.sin) // [B, Hq, T, D]
    const k = rotate(splitHeads(this.k_proj(x), c.num_key_value_heads), rope.cos, rope.sin) // [B, Hkv, T, D]
    const v = splitHeads(this.v_proj(x), c.num_key_value_heads) // [B, Hkv, T, D]
    const all = layout.cache ? layout.cache.update(this.index, k, v) : { key: k, value: v }
    const { output, weights } = attend(q, all.key, all.value, layout, {
      isCausal: true,
      scale: c.head_dim ** -0.5,
      dropoutP: this.training ? c.attention_dropout : 0,
      withWeights: states.withAttentions,
    })
    states.attention(weights)
    return this.o_proj(output) // [B, T, H]
  }
}

class LlamaMLP extends Module {
  gate_proj: Linear
  up_proj: Linear
  down_proj: Linear
  readonly act: string

  constructor(c: LlamaConfig) {
    super()
    this.gate_proj = new Linear(c.hidden_size, c.intermediate_size, { bias: c.mlp_bias })
    this.up_proj = new Linear(c.hidden_size, c.intermediate_size, { bias: c.mlp_bias })
    this.down_proj = new Linear(c.intermediate_size, c.hidden_size, { bias: c.mlp_bias })
    this.act = c.hidden_act
  }

  forward(x: Tensor): Tensor {
    return this.down_proj(activation(this.act)(this.gate_proj(x)).mul(this.up_proj(x)))
  }
}

class LlamaDecoderLayer extends Module<LayerArgs, Tensor> {
  self_attn: LlamaAttention
  mlp: LlamaMLP
  input_layernorm: RMSNorm
  post_attention_layernorm: RMSNorm

  constructor(c: LlamaConfig, index: number) {
    super()
    this.self_attn = new LlamaAttention(c, index)
    this.mlp = new LlamaMLP(c)
    this.input_layernorm = new RMSNorm(c.hidden_size, { eps: c.rms_norm_eps })
    this.post_attention_layernorm = new RMSNorm(c.hidden_size, { eps: c.rms_norm_eps })
  }

  forward(x: Tensor, rope: { cos: Tensor; sin: Tensor }, layout: Layout, states: StateCollector): Tensor {
    const attended = x.add(this.self_attn(this.input_layernorm(x), rope, layout, states))
    return attended.add(this.mlp(this.post_attention_layernorm(attended)))
  }
}

abstract class LlamaPreTrainedModel<In, Out> extends PreTrainedModel<LlamaConfig, In, Out> {
  static readonly configClass = LlamaConfig
  static override readonly baseModelPrefix: string = 'model'
}

/** The decoder without a head. */
export class LlamaModel extends LlamaPreTrainedModel<CausalInputs, BaseModelOutput> {
  embed_tokens: Embedding
  layers: ModuleList<LlamaDecoderLayer>
  norm: RMSNorm
  readonly #rotary: RotaryTable

  constructor(config: LlamaConfig) {
    super(config)
    this.embed_tokens = new Embedding(config.vocab_size, config.hidden_size, {
      paddingIdx: config.pad_token_id,
    })
    this.layers = new ModuleList(
      Array.from({ length: config.num_hidden_layers }, (_, i) => new LlamaDecoderLayer(config, i)),
    )
    this.norm = new RMSNorm(config.hidden_size, { eps: config.rms_norm_eps })
    this.#rotary = new RotaryTable(config.rope_parameters, config.head_dim, config.max_position_embeddings)
    this.postInit()
  }

  forward(inputs: CausalInputs): BaseModelOutput {
    checkInputs('LlamaModel', inputs, CAUSAL_INPUTS)
    const { ids, layout } = causalLayout('LlamaModel', inputs)
    const states = new StateCollector(inputs)
    const rope = this.#rotary.at(layout.positions) // [B, 1, T, D / 2]
    let x = ids ? this.embed_tokens(ids) : inputs.inputsEmbeds! // [B, T, H]
    for (const layer of this.layers) {
      states.hidden(x)
      x = layer(x, rope, layout, states)
    }
    x = this.norm(x)
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
export class LlamaForCausalLM extends LlamaPreTrainedModel<
  CausalInputs & LabelInputs & KeepInputs,
  CausalOutput
> {
  model: LlamaModel
  lm_head: Linear

  constructor(config: LlamaConfig) {
    super(config)
    this.model = new LlamaModel(config)
    this.lm_head = new Linear(config.hidden_size, config.vocab_size, { bias: false })
    if (config.tie_word_embeddings) this.lm_head.weight = this.model.embed_tokens.weight
    this.postInit()
  }

  forward(inputs: CausalInputs & LabelInputs & KeepInputs): CausalOutput {
    const own = [...LABEL_INPUTS, 'logitsToKeep']
    const { lastHiddenState, ...out } = this.model(headInputs('LlamaForCausalLM', inputs, CAUSAL_INPUTS, own))
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
export class LlamaForSequenceClassification extends LlamaPreTrainedModel<
  CausalInputs & LabelInputs,
  LogitsOutput
> {
  model: LlamaModel
  score: Linear

  constructor(config: LlamaConfig) {
    super(config)
    this.model = new LlamaModel(config)
    this.score = new Linear(config.hidden_size, config.num_labels, { bias: false })
    this.postInit()
  }

  forward(inputs: CausalInputs & LabelInputs): LogitsOutput {
    const name = 'LlamaForSequenceClassification'
    const out = this.model(headInputs(name, inputs, CAUSAL_INPUTS, LABEL_INPUTS))
    const logits = this.score(lastTokens(name, out.lastHiddenState, inputs, this.config.pad_token_id))
    const loss = sequenceLoss(this.config, logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Labels for tokens: logits [B, T, C]. */
export class LlamaForTokenClassification extends LlamaPreTrainedModel<
  CausalInputs & LabelInputs,
  LogitsOutput
> {
  model: LlamaModel
  dropout: Dropout
  score: Linear

  constructor(config: LlamaConfig) {
    super(config)
    this.model = new LlamaModel(config)
    this.dropout = new Dropout(config.classifier_dropout ?? 0.1)
    this.score = new Linear(config.hidden_size, config.num_labels)
    this.postInit()
  }

  forward(inputs: CausalInputs & LabelInputs): LogitsOutput {
    const out = this.model(headInputs('LlamaForTokenClassification', inputs, CAUSAL_INPUTS, LABEL_INPUTS))
    const logits = this.score(this.dropout(out.lastHiddenState))
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Where an answer begins and ends in a text. */
export class LlamaForQuestionAnswering extends LlamaPreTrainedModel<CausalInputs & SpanInputs, SpanOutput> {
  /** In this head, and only here, checkpoints call the base model so. */
  static override readonly baseModelPrefix = 'transformer'
  transformer: LlamaModel
  qa_outputs: Linear

  constructor(config: LlamaConfig) {
    super(config)
    this.transformer = new LlamaModel(config)
    this.qa_outputs = new Linear(config.hidden_size, 2)
    this.postInit()
  }

  static override renameWeights(key: string): string | null {
    return key.replace(/^model\./, 'transformer.')
  }

  forward(inputs: CausalInputs & SpanInputs): SpanOutput {
    const own = ['startPositions', 'endPositions']
    const out = this.transformer(headInputs('LlamaForQuestionAnswering', inputs, CAUSAL_INPUTS, own))
    return { ...spanOutput(this.qa_outputs(out.lastHiddenState), inputs), ...statesOf(out) }
  }
}

declareSteady(LlamaAttention, LlamaMLP, LlamaDecoderLayer, LlamaModel, LlamaForCausalLM)

export const family: ModelFamily = {
  configClass: LlamaConfig,
  models: {
    base: LlamaModel,
    CausalLM: LlamaForCausalLM,
    SequenceClassification: LlamaForSequenceClassification,
    TokenClassification: LlamaForTokenClassification,
    QuestionAnswering: LlamaForQuestionAnswering,
  },
}
