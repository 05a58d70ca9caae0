/** BERT (Devlin et al. 2019). Attributes are named as in checkpoints; B batch, T tokens, H hidden size, S packed sequences. */
import type { Tensor } from '../../core/index.ts'
import { Dropout, Linear, Module } from '../../nn/index.ts'
import { type SpanInputs, sequenceLoss, spanOutput, tokenLoss } from '../heads.ts'
import {
  asInt,
  checkInputs,
  headInputs,
  inputSize,
  LABEL_INPUTS,
  type LabelInputs,
  type TensorLike,
} from '../inputs.ts'
import { checkContext, layoutOf } from '../layout.ts'
import {
  type LogitsOutput,
  type PoolingOutput,
  type SpanOutput,
  StateCollector,
  type StatesOutput,
  statesOf,
} from '../outputs.ts'
import { PreTrainedModel } from '../pretrained-model.ts'
import {
  BERT_INPUTS,
  BertConfig,
  BertEmbeddings,
  BertEncoder,
  type BertInputs,
  BertLMPredictionHead,
  BertPooler,
} from './bert-layers.ts'
import type { ModelFamily } from './family.ts'

export { BertConfig, type BertInputs }

abstract class BertPreTrainedModel<In, Out> extends PreTrainedModel<BertConfig, In, Out> {
  static readonly configClass = BertConfig
  static override readonly baseModelPrefix = 'bert'

  /** Checkpoints converted from TensorFlow name the norm's scale and shift gamma and beta. */
  static override renameWeights(key: string): string | null {
    return key.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
  }
}

/** The encoder. `poolerOutput` is the first token's state through a dense layer and tanh. */
export class BertModel extends BertPreTrainedModel<BertInputs, PoolingOutput> {
  embeddings: BertEmbeddings
  encoder: BertEncoder
  pooler: BertPooler | null

  constructor(config: BertConfig, options: { addPoolingLayer?: boolean } = {}) {
    super(config)
    this.embeddings = new BertEmbeddings(config)
    this.encoder = new BertEncoder(config)
    this.pooler = (options.addPoolingLayer ?? true) ? new BertPooler(config) : null
    this.postInit()
  }

  forward(inputs: BertInputs): PoolingOutput {
    checkInputs('BertModel', inputs, BERT_INPUTS)
    const layout = layoutOf('BertModel', inputs, inputSize('BertModel', inputs))
    checkContext('BertModel', layout, this.config.max_position_embeddings)
    const states = new StateCollector(inputs)
    const x = this.encoder(this.embeddings(inputs, layout), layout, states) // [B, T, H]
    return {
      lastHiddenState: x,
      ...(this.pooler && { poolerOutput: this.pooler(x, layout) }),
      ...states.output,
    }
  }
}

/** Heads of the pretraining tasks, under the names of checkpoints. */
class BertPretrainingHeads extends Module<[x: Tensor], Tensor> {
  predictions: BertLMPredictionHead | null
  seq_relationship: Linear | null

  constructor(c: BertConfig, heads: { predictions: boolean; relationship: boolean }) {
    super()
    this.predictions = heads.predictions ? new BertLMPredictionHead(c) : null
    this.seq_relationship = heads.relationship ? new Linear(c.hidden_size, 2) : null
  }

  forward(x: Tensor): Tensor {
    return this.predictions!(x)
  }
}

/** Makes the decoder of masked tokens the table of word embeddings. */
function tie({
  config,
  bert,
  cls,
}: {
  config: BertConfig
  bert: BertModel
  cls: BertPretrainingHeads
}): void {
  if (config.tie_word_embeddings) cls.predictions!.decoder.weight = bert.embeddings.word_embeddings.weight
}

/** Fills in masked tokens: logits [B, T, V]; labels [B, T] with -100 where nothing is asked. */
export class BertForMaskedLM extends BertPreTrainedModel<BertInputs & LabelInputs, LogitsOutput> {
  bert: BertModel
  cls: BertPretrainingHeads

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config, { addPoolingLayer: false })
    this.cls = new BertPretrainingHeads(config, { predictions: true, relationship: false })
    tie(this)
    this.postInit()
  }

  forward(inputs: BertInputs & LabelInputs): LogitsOutput {
    const out = this.bert(headInputs('BertForMaskedLM', inputs, BERT_INPUTS, LABEL_INPUTS))
    const logits = this.cls(out.lastHiddenState) // [B, T, V]
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Whether the second text follows the first: logits [B, 2], label 0 for yes. */
export class BertForNextSentencePrediction extends BertPreTrainedModel<
  BertInputs & LabelInputs,
  LogitsOutput
> {
  bert: BertModel
  cls: BertPretrainingHeads

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config)
    this.cls = new BertPretrainingHeads(config, { predictions: false, relationship: true })
    this.postInit()
  }

  forward(inputs: BertInputs & LabelInputs): LogitsOutput {
    const out = this.bert(headInputs('BertForNextSentencePrediction', inputs, BERT_INPUTS, LABEL_INPUTS))
    const logits = this.cls.seq_relationship!(out.poolerOutput!)
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

export interface PretrainingInputs {
  labels?: TensorLike | null
  /** 0 where the second text follows the first, int32 [B]. */
  nextSentenceLabel?: TensorLike | null
}

export interface PretrainingOutput extends StatesOutput {
  /** The sum of the losses of both tasks, where both have labels. */
  loss?: Tensor
  /** [B, T, V]. */
  predictionLogits: Tensor
  /** [B, 2]. */
  seqRelationshipLogits: Tensor
}

/** Masked tokens and next sentence together, as BERT was pretrained. */
export class BertForPreTraining extends BertPreTrainedModel<
  BertInputs & PretrainingInputs,
  PretrainingOutput
> {
  bert: BertModel
  cls: BertPretrainingHeads

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config)
    this.cls = new BertPretrainingHeads(config, { predictions: true, relationship: true })
    tie(this)
    this.postInit()
  }

  forward(inputs: BertInputs & PretrainingInputs): PretrainingOutput {
    const own = ['labels', 'nextSentenceLabel']
    const out = this.bert(headInputs('BertForPreTraining', inputs, BERT_INPUTS, own))
    const predictionLogits = this.cls(out.lastHiddenState)
    const seqRelationshipLogits = this.cls.seq_relationship!(out.poolerOutput!)
    const masked = tokenLoss(predictionLogits, { labels: inputs.labels })
    const next = tokenLoss(seqRelationshipLogits, { labels: inputs.nextSentenceLabel })
    const loss = masked && next && masked.add(next)
    return { ...(loss && { loss }), predictionLogits, seqRelationshipLogits, ...statesOf(out) }
  }
}

/** Labels for texts: logits [B, C], or [S, C] for packed sequences. */
export class BertForSequenceClassification extends BertPreTrainedModel<
  BertInputs & LabelInputs,
  LogitsOutput
> {
  bert: BertModel
  dropout: Dropout
  classifier: Linear

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config)
    this.dropout = new Dropout(config.classifier_dropout ?? config.hidden_dropout_prob)
    this.classifier = new Linear(config.hidden_size, config.num_labels)
    this.postInit()
  }

  forward(inputs: BertInputs & LabelInputs): LogitsOutput {
    const out = this.bert(headInputs('BertForSequenceClassification', inputs, BERT_INPUTS, LABEL_INPUTS))
    const logits = this.classifier(this.dropout(out.poolerOutput!))
    const loss = sequenceLoss(this.config, logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Labels for tokens: logits [B, T, C]. */
export class BertForTokenClassification extends BertPreTrainedModel<BertInputs & LabelInputs, LogitsOutput> {
  bert: BertModel
  dropout: Dropout
  classifier: Linear

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config, { addPoolingLayer: false })
    this.dropout = new Dropout(config.classifier_dropout ?? config.hidden_dropout_prob)
    this.classifier = new Linear(config.hidden_size, config.num_labels)
    this.postInit()
  }

  forward(inputs: BertInputs & LabelInputs): LogitsOutput {
    const out = this.bert(headInputs('BertForTokenClassification', inputs, BERT_INPUTS, LABEL_INPUTS))
    const logits = this.classifier(this.dropout(out.lastHiddenState))
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Which of several texts fits: ids [B, choices, T] give logits [B, choices]. */
export class BertForMultipleChoice extends BertPreTrainedModel<BertInputs & LabelInputs, LogitsOutput> {
  bert: BertModel
  dropout: Dropout
  classifier: Linear

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config)
    this.dropout = new Dropout(config.classifier_dropout ?? config.hidden_dropout_prob)
    this.classifier = new Linear(config.hidden_size, 1)
    this.postInit()
  }

  forward(inputs: BertInputs & LabelInputs): LogitsOutput {
    const name = 'BertForMultipleChoice'
    if (!inputs.inputIds || inputs.inputsEmbeds || inputs.cuSeqlens)
      throw new TypeError(`[${name}] takes inputIds of shape [B,choices,T]`)
    const given = headInputs(name, inputs, BERT_INPUTS, LABEL_INPUTS)
    const [batch, choices, tokens] = asInt('inputIds', inputs.inputIds).shape
    const rows = { ...given }
    for (const field of ['inputIds', 'attentionMask', 'tokenTypeIds', 'positionIds'] as const)
      if (given[field]) rows[field] = asInt(field, given[field]).reshape([batch * choices, tokens])
    const out = this.bert(rows)
    const logits = this.classifier(this.dropout(out.poolerOutput!)).reshape([batch, choices])
    const loss = tokenLoss(logits, inputs)
    return { ...(loss && { loss }), logits, ...statesOf(out) }
  }
}

/** Where an answer begins and ends in a text: two logits for each token. */
export class BertForQuestionAnswering extends BertPreTrainedModel<BertInputs & SpanInputs, SpanOutput> {
  bert: BertModel
  qa_outputs: Linear

  constructor(config: BertConfig) {
    super(config)
    this.bert = new BertModel(config, { addPoolingLayer: false })
    this.qa_outputs = new Linear(config.hidden_size, 2)
    this.postInit()
  }

  forward(inputs: BertInputs & SpanInputs): SpanOutput {
    if (inputs.cuSeqlens && inputs.startPositions)
      throw new Error('[BertForQuestionAnswering] has no loss for packed sequences: pad them')
    const own = ['startPositions', 'endPositions']
    const out = this.bert(headInputs('BertForQuestionAnswering', inputs, BERT_INPUTS, own))
    const { loss, ...logits } = spanOutput(this.qa_outputs(out.lastHiddenState), inputs)
    return { ...(loss && { loss }), ...logits, ...statesOf(out) }
  }
}

export const family: ModelFamily = {
  configClass: BertConfig,
  models: {
    base: BertModel,
    MaskedLM: BertForMaskedLM,
    MultipleChoice: BertForMultipleChoice,
    NextSentencePrediction: BertForNextSentencePrediction,
    PreTraining: BertForPreTraining,
    SequenceClassification: BertForSequenceClassification,
    TokenClassification: BertForTokenClassification,
    QuestionAnswering: BertForQuestionAnswering,
  },
}
