/** Layers with weights, and dropout. Initial values are distributed as in PyTorch. */
import { arange, type Generator, layerNorm, linear, noGrad, rmsNorm, type Tensor } from '../core/index.ts'
import { modes } from '../core/modes.ts'
import { dropout, embedding } from './functional.ts'
import { kaimingUniform_, normal_, ones_, uniform_, zeros_ } from './init.ts'
import { Module } from './module.ts'
import { Parameter } from './parameter.ts'
import { declareSteady } from './steady.ts'

/** Fills new parameters, unless they are about to be loaded. */
const initialise = (fill: () => void): void => {
  if (!modes().skipInit) fill()
}

/** x W^T + b. Weight: [outFeatures, inFeatures]; x: [..., inFeatures]. */
export class Linear extends Module<[x: Tensor], Tensor> {
  weight: Parameter
  bias: Parameter | null

  constructor(inFeatures: number, outFeatures: number, options: { bias?: boolean } = {}) {
    super()
    this.weight = new Parameter([outFeatures, inFeatures])
    this.bias = (options.bias ?? true) ? new Parameter([outFeatures]) : null
    initialise(() => this.resetParameters())
  }

  /** Uniform on +-1/sqrt(inFeatures), as in PyTorch. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.weight.shape[1])
    kaimingUniform_(this.weight, { a: Math.sqrt(5) })
    if (this.bias) uniform_(this.bias, -bound, bound)
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }

  override extraRepr(): string {
    const [outFeatures, inFeatures] = this.weight.shape
    return `inFeatures=${inFeatures}, outFeatures=${outFeatures}, bias=${this.bias !== null}`
  }
}

/** Rows of a table. Weight: [numEmbeddings, embeddingDim]; ids int32 [...] give [..., embeddingDim]. */
export class Embedding extends Module<[ids: Tensor], Tensor> {
  weight: Parameter
  readonly #paddingIdx: number | null

  /** @param options `paddingIdx`: a row that starts as zeros and never gets a gradient */
  constructor(numEmbeddings: number, embeddingDim: number, options: { paddingIdx?: number | null } = {}) {
    super()
    const pad = options.paddingIdx ?? null
    if (pad !== null && (pad < -numEmbeddings || pad >= numEmbeddings))
      throw new RangeError(`[Embedding] paddingIdx ${pad} is outside the ${numEmbeddings} rows`)
    this.#paddingIdx = pad === null || pad >= 0 ? pad : pad + numEmbeddings
    this.weight = new Parameter([numEmbeddings, embeddingDim])
    initialise(() => this.resetParameters())
  }

  get paddingIdx(): number | null {
    return this.#paddingIdx
  }

  /** Standard normal, with zeros in the padding row. */
  resetParameters(): void {
    normal_(this.weight)
    this.zeroPadding()
  }

  /** Makes the padding row zero, where there is one. */
  zeroPadding(): void {
    if (this.#paddingIdx === null) return
    const row = arange(this.weight.shape[0]).eq(this.#paddingIdx).unsqueeze(1)
    noGrad(() => this.weight.copy_(this.weight.maskedFill(row, 0)))
  }

  forward(ids: Tensor): Tensor {
    return embedding(ids, this.weight, { paddingIdx: this.#paddingIdx })
  }

  override extraRepr(): string {
    const pad = this.#paddingIdx === null ? '' : `, paddingIdx=${this.#paddingIdx}`
    return `${this.weight.shape.join(', ')}${pad}`
  }
}

/** (x - mean) / sqrt(var + eps) * weight + bias over the last dimension, of size `width`. */
export class LayerNorm extends Module<[x: Tensor], Tensor> {
  weight: Parameter | null
  bias: Parameter | null
  readonly #eps: number

  constructor(width: number, options: { eps?: number; elementwiseAffine?: boolean; bias?: boolean } = {}) {
    super()
    const affine = options.elementwiseAffine ?? true
    this.#eps = options.eps ?? 1e-5
    this.weight = affine ? new Parameter([width]) : null
    this.bias = affine && (options.bias ?? true) ? new Parameter([width]) : null
    initialise(() => this.resetParameters())
  }

  resetParameters(): void {
    if (this.weight) ones_(this.weight)
    if (this.bias) zeros_(this.bias)
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight ?? undefined, this.bias ?? undefined, this.#eps)
  }

  override extraRepr(): string {
    return `${this.weight?.shape[0] ?? ''}, eps=${this.#eps}`
  }
}

/** x / sqrt(mean(x^2) + eps) * weight over the last dimension, of size `width`. */
export class RMSNorm extends Module<[x: Tensor], Tensor> {
  weight: Parameter
  readonly #eps: number

  constructor(width: number, options: { eps?: number } = {}) {
    super()
    this.#eps = options.eps ?? 1e-6
    this.weight = new Parameter([width])
    initialise(() => this.resetParameters())
  }

  resetParameters(): void {
    ones_(this.weight)
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.#eps)
  }

  override extraRepr(): string {
    return `${this.weight.shape[0]}, eps=${this.#eps}`
  }
}

/** While training, zeroes elements with probability p and scales the others by 1 / (1 - p). */
export class Dropout extends Module<[x: Tensor], Tensor> {
  readonly #p: number
  readonly #generator: Generator | undefined

  constructor(p = 0.5, options: { generator?: Generator } = {}) {
    super()
    if (!(p >= 0 && p <= 1)) throw new RangeError(`[Dropout] p ${p} is not a probability`)
    this.#p = p
    this.#generator = options.generator
  }

  forward(x: Tensor): Tensor {
    return dropout(x, { p: this.#p, training: this.training, generator: this.#generator })
  }

  override extraRepr(): string {
    return `p=${this.#p}`
  }
}

declareSteady(Linear, Embedding, LayerNorm, RMSNorm, Dropout)
