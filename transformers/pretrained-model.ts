import { noGrad } from '../core/index.ts'
import { modes } from '../core/modes.ts'
import { dropEffects } from '../core/ops/effects.ts'
import type { HubOptions, ModelFolder } from '../hub/index.ts'
import { type AnyModule, Embedding, init, LayerNorm, Linear, Module, RMSNorm } from '../nn/index.ts'
import type { PretrainedConfig, StorageDType } from './config.ts'
import { loadPretrained } from './load.ts'
import type { GgufOption } from './open-model.ts'
import { resizeTokenEmbeddings } from './resize-embeddings.ts'
import { savePretrained } from './save.ts'

export interface FromPretrainedOptions extends HubOptions, GgufOption {
  /** Fields that differ from the `config.json`, such as `num_labels` or `id2label`; or a whole config in its place. */
  config?: PretrainedConfig | Readonly<Record<string, unknown>>
  /**
   * How matrices are kept in memory. float16 and bfloat16 halve it and are for inference: such weights take no gradient.
   * `auto` takes what the checkpoint has. Default float32.
   */
  dtype?: StorageDType | 'auto'
}

/** What a model class must say of itself to be loaded by `fromPretrained`. */
export interface PretrainedClass<M> {
  new (config: never): M
  readonly name: string
  readonly configClass: new (init?: Readonly<Record<string, unknown>>) => PretrainedConfig
  /** Attribute under which heads hold the base model, and prefix of its keys. */
  readonly baseModelPrefix: string
  renameWeights(key: string): string | null
}

/** A model of any family and head. */
export interface AnyPreTrainedModel extends AnyModule {
  (inputs: never): unknown
  readonly config: PretrainedConfig
  readonly dtype: StorageDType
  generationConfig: Readonly<Record<string, unknown>> | null
  initAllWeights(): void
  numParameters(options?: { onlyTrainable?: boolean }): number
  savePretrained(folder: string, options?: { maxShardSize?: number }): Promise<void>
}

/**
 * Base of all models: a module with a config, loaded by `fromPretrained` and saved by `savePretrained` in the files that
 * Python's transformers reads.
 */
export abstract class PreTrainedModel<
  C extends PretrainedConfig = PretrainedConfig,
  In = object,
  Out = object,
> extends Module<[inputs: In], Out> {
  static readonly baseModelPrefix: string = ''
  readonly config: C
  /** What `generation_config.json` said, for models that generate. */
  generationConfig: Readonly<Record<string, unknown>> | null = null

  constructor(config: C) {
    super()
    this.config = config
  }

  /**
   * A model with the weights of a checkpoint: a folder, an id of the Hub, or what the Hugging Face cache has; in a page
   * the URL of a folder (`./models/encoder`); a GGUF file of a Llama, dequantised. Comes in `eval()` mode. Weights that the checkpoint lacks (a new head) are initialised as in transformers; one notice names them.
   *
   * ```ts
   * const model = await BertForSequenceClassification.fromPretrained('bert-base-uncased', { config: { num_labels: 3 } })
   * ```
   * @throws InputError, one line with the fix, for missing files, a config of another model, weights of other shapes
   */
  static fromPretrained<M extends AnyPreTrainedModel>(
    this: PretrainedClass<M>,
    source: string | ModelFolder,
    options: FromPretrainedOptions = {},
  ): Promise<M> {
    // biome-ignore lint/complexity/noThisInStatic: the class that it is called on is the one to make
    return loadPretrained(this, source, options)
  }

  /** Name of a checkpoint's tensor in this model; null for one that is not needed. Quirks of old files live here. */
  static renameWeights(key: string): string | null {
    return key
  }

  /** Writes `config.json` and `model.safetensors` (or shards), each of which appears only when it is complete. */
  async savePretrained(folder: string, options: { maxShardSize?: number } = {}): Promise<void> {
    await savePretrained(this, folder, options)
  }

  /** Fills all weights with fresh values, unless they are about to be loaded. Constructors call it last. */
  protected postInit(): void {
    if (!modes().skipInit) this.initAllWeights()
  }

  /** @internal Fills all weights with fresh values. */
  initAllWeights(): void {
    // what modules recorded for themselves when they were made is not needed
    for (const p of this.parameters()) dropEffects(p.state)
    noGrad(() => void this.apply((module) => this.initWeights(module)))
  }

  /** Fresh values for one module, as transformers chooses them. */
  protected initWeights(module: AnyModule): void {
    const std = this.config.initializer_range
    if (module instanceof Linear) {
      init.normal_(module.weight, 0, std)
      if (module.bias) init.zeros_(module.bias)
    } else if (module instanceof Embedding) {
      init.normal_(module.weight, 0, std)
      module.zeroPadding()
    } else if (module instanceof LayerNorm || module instanceof RMSNorm) module.resetParameters()
  }

  /**
   * Gives the model `size` tokens, `tokenizer.length` after `tokenizer.addTokens`: the embedding and the layer that predicts
   * tokens get or lose rows at the end, `config.vocab_size` follows. Make the optimizer afterwards.
   */
  resizeTokenEmbeddings(size: number): Embedding {
    return resizeTokenEmbeddings(this, size)
  }

  /** How the matrices are kept. */
  get dtype(): StorageDType {
    for (const p of this.parameters()) if (p.ndim > 1) return p.dtype as StorageDType
    return 'float32'
  }

  /** Number of weights, tied ones once. */
  numParameters(options: { onlyTrainable?: boolean } = {}): number {
    let n = 0
    for (const p of this.parameters()) if (p.requiresGrad || !options.onlyTrainable) n += p.numel
    return n
  }
}
