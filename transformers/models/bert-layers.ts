/** The parts of BERT (Devlin et al. 2019). Attributes are named as in checkpoints; B batch, T tokens, H hidden size. */
import { type Tensor, tensor } from '../../core/index.ts'
import { Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, type Parameter } from '../../nn/index.ts'
import { activation } from '../activations.ts'
import { attend, splitHeads } from '../attention.ts'
import { type ConfigInit, PretrainedConfig } from '../config.ts'
import { asInt, COMMON_INPUTS, type ModelInputs, type TensorLike } from '../inputs.ts'
import type { Layout } from '../layout.ts'
import type { StateCollector } from '../outputs.ts'
import { firstTokens } from '../pooling.ts'

export class BertConfig extends PretrainedConfig {
  readonly model_type = 'bert'
  vocab_size = 30522
  hidden_size = 768
  num_hidden_layers = 12
  num_attention_heads = 12
  intermediate_size = 3072
  hidden_act = 'gelu'
  hidden_dropout_prob = 0.1
  attention_probs_dropout_prob = 0.1
  max_position_embeddings = 512
  type_vocab_size = 2
  layer_norm_eps = 1e-12
  classifier_dropout: number | null = null
  override pad_token_id: number | null = 0

  constructor(init: ConfigInit<BertConfig> = {}) {
    super()
    this.assign(init)
    if (init.is_decoder || init.add_cross_attention)
      throw new Error('[BertConfig] BERT as a decoder (is_decoder, add_cross_attention) is not built')
    const kind = init.position_embedding_type ?? 'absolute'
    if (kind !== 'absolute') throw new Error(`[BertConfig] position_embedding_type "${kind}" is not built`)
  }
}

export interface BertInputs extends ModelInputs {
  /** Which of two texts a token belongs to, int32 [B, T]; 0 unless given. */
  tokenTypeIds?: TensorLike | null
}

/** Names of `BertInputs`. */
export const BERT_INPUTS = [...COMMON_INPUTS, 'tokenTypeIds'] as const

export class BertEmbeddings extends Module<[inputs: BertInputs, layout: Layout], Tensor> {
  word_embeddings: Embedding
  position_embeddings: Embedding
  token_type_embeddings: Embedding
  LayerNorm: LayerNorm
  dropout: Dropout

  constructor(c: BertConfig) {
    super()
    this.word_embeddings = new Embedding(c.vocab_size, c.hidden_size, { paddingIdx: c.pad_token_id })
    this.position_embeddings = new Embedding(c.max_position_embeddings, c.hidden_size)
    this.token_type_embeddings = new Embedding(c.type_vocab_size, c.hidden_size)
    this.LayerNorm = new LayerNorm(c.hidden_size, { eps: c.layer_norm_eps })
    this.dropout = new Dropout(c.hidden_dropout_prob)
  }

  forward(inputs: BertInputs, layout: Layout): Tensor {
    const words = inputs.inputsEmbeds ?? this.word_embeddings(asInt('inputIds', inputs.inputIds!)) // [B, T, H]
    const types = inputs.tokenTypeIds
      ? asInt('tokenTypeIds', inputs.tokenTypeIds)
      : tensor(new Int32Array(layout.tokens), [1, layout.tokens])
    const x = words.add(this.token_type_embeddings(types)).add(this.position_embeddings(layout.positions))
    return this.dropout(this.LayerNorm(x))
  }
}

type LayerArgs = [x: Tensor, layout: Layout, states: StateCollector]

class BertSelfAttention extends Module<LayerArgs, Tensor> {
  query: Linear
  key: Linear
  value: Linear
  readonly heads: number
  readonly dropoutP: number

  constructor(c: BertConfig) {
    super()
    const width = c.hidden_size
    if (width % c.num_attention_heads !== 0)
      throw new RangeError(`[BertConfig] hidden_size ${width} is not a multiple of the heads`)
    this.query = new Linear(width, width)
    this.key = new Linear(width, width)
    this.value = new Linear(width, width)
    this.heads = c.num_attention_heads
    this.dropoutP = c.attention_probs_dropout_prob
  }

  forward(x: Tensor, layout: Layout, states: StateCollector): Tensor {
    const [q, k, v] = [this.query, this.key, this.value].map((f) => splitHeads(f(x), this.heads)) // [B, heads, T, D]
    const { output, weights } = attend(q, k, v, layout, {
      isCausal: false,
      scale: q.shape[3] ** -0.5,
      dropoutP: this.training ? this.dropoutP : 0,
      withWeights: states.withAttentions,
    })
    states.attention(weights)
    return output // [B, T, H]
  }
}

/** A projection, and the norm of its sum with what came in: the end of both halves of a layer. */
class BertOutput extends Module<[x: Tensor, residual: Tensor], Tensor> {
  dense: Linear
  LayerNorm: LayerNorm
  dropout: Dropout

  constructor(c: BertConfig, inFeatures: number) {
    super()
    this.dense = new Linear(inFeatures, c.hidden_size)
    this.LayerNorm = new LayerNorm(c.hidden_size, { eps: c.layer_norm_eps })
    this.dropout = new Dropout(c.hidden_dropout_prob)
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm(this.dropout(this.dense(x)).add(residual))
  }
}

class BertAttention extends Module<LayerArgs, Tensor> {
  self: BertSelfAttention
  output: BertOutput

  constructor(c: BertConfig) {
    super()
    this.self = new BertSelfAttention(c)
    this.output = new BertOutput(c, c.hidden_size)
  }

  forward(x: Tensor, layout: Layout, states: StateCollector): Tensor {
    return this.output(this.self(x, layout, states), x)
  }
}

class BertIntermediate extends Module {
  dense: Linear
  readonly act: string

  constructor(c: BertConfig) {
    super()
    this.dense = new Linear(c.hidden_size, c.intermediate_size)
    this.act = c.hidden_act
  }

  forward(x: Tensor): Tensor {
    return activation(this.act)(this.dense(x))
  }
}

class BertLayer extends Module<LayerArgs, Tensor> {
  attention: BertAttention
  intermediate: BertIntermediate
  output: BertOutput

  constructor(c: BertConfig) {
    super()
    this.attention = new BertAttention(c)
    this.intermediate = new BertIntermediate(c)
    this.output = new BertOutput(c, c.intermediate_size)
  }

  forward(x: Tensor, layout: Layout, states: StateCollector): Tensor {
    const attended = this.attention(x, layout, states)
    return this.output(this.intermediate(attended), attended)
  }
}

export class BertEncoder extends Module<LayerArgs, Tensor> {
  layer: ModuleList<BertLayer>

  constructor(c: BertConfig) {
    super()
    this.layer = new ModuleList(Array.from({ length: c.num_hidden_layers }, () => new BertLayer(c)))
  }

  forward(embedded: Tensor, layout: Layout, states: StateCollector): Tensor {
    let x = embedded
    states.hidden(x)
    for (const layer of this.layer) {
      x = layer(x, layout, states)
      states.hidden(x)
    }
    return x
  }
}

export class BertPooler extends Module<[x: Tensor, layout: Layout], Tensor> {
  dense: Linear

  constructor(c: BertConfig) {
    super()
    this.dense = new Linear(c.hidden_size, c.hidden_size)
  }

  forward(x: Tensor, layout: Layout): Tensor {
    return this.dense(firstTokens(x, layout)).tanh() // [B, H] or [S, H]
  }
}

class BertPredictionHeadTransform extends Module {
  dense: Linear
  LayerNorm: LayerNorm
  readonly act: string

  constructor(c: BertConfig) {
    super()
    this.dense = new Linear(c.hidden_size, c.hidden_size)
    this.LayerNorm = new LayerNorm(c.hidden_size, { eps: c.layer_norm_eps })
    this.act = c.hidden_act
  }

  forward(x: Tensor): Tensor {
    return this.LayerNorm(activation(this.act)(this.dense(x)))
  }
}

/** Logits over the vocabulary; the decoder's weight is the table of word embeddings where they are tied. */
export class BertLMPredictionHead extends Module {
  bias: Parameter
  transform: BertPredictionHeadTransform
  decoder: Linear

  constructor(c: BertConfig) {
    super()
    this.transform = new BertPredictionHeadTransform(c)
    this.decoder = new Linear(c.hidden_size, c.vocab_size)
    this.bias = this.decoder.bias!
  }

  forward(x: Tensor): Tensor {
    return this.decoder(this.transform(x))
  }
}
