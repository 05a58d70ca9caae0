/** Rotary positions (Su et al. 2021) and the ways in which they are stretched to longer texts. */
import { derived } from '../core/derived.ts'
import { cat, type Tensor, type TypedArray, tensor } from '../core/index.ts'
import { hostValues } from './inputs.ts'

/** `rope_parameters` of a config; older files say the same as `rope_theta` and `rope_scaling`. */
export interface RopeParameters {
  rope_type: 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn'
  rope_theta: number
  factor?: number
  original_max_position_embeddings?: number
  low_freq_factor?: number
  high_freq_factor?: number
  attention_factor?: number | null
  beta_fast?: number | null
  beta_slow?: number | null
  mscale?: number | null
  mscale_all_dim?: number | null
  truncate?: boolean
}

interface RopeFields {
  rope_parameters?: Record<string, unknown> | null
  rope_theta?: unknown
  rope_scaling?: Record<string, unknown> | null
}

const TYPES: readonly string[] = ['default', 'linear', 'dynamic', 'llama3', 'yarn']

/** One form for the new and the old spelling. @throws for a type that is not built */
export function ropeParameters(fields: RopeFields, defaultTheta: number): RopeParameters {
  const given = fields.rope_parameters ?? fields.rope_scaling ?? {}
  const { type, ...rest } = given as { type?: string }
  const out = {
    rope_theta: (fields.rope_theta as number | undefined) ?? defaultTheta,
    rope_type: type ?? 'default',
    ...rest,
  } as RopeParameters
  if (!TYPES.includes(out.rope_type))
    throw new RangeError(`[config] rope_type "${out.rope_type}" is not one of ${TYPES.join(', ')}`)
  const needs: Record<string, (keyof RopeParameters)[]> = {
    linear: ['factor'],
    dynamic: ['factor'],
    yarn: ['factor'],
    llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
  }
  for (const name of needs[out.rope_type] ?? [])
    if (typeof out[name] !== 'number')
      throw new TypeError(`[config] rope_type "${out.rope_type}" needs the number ${name}`)
  if ('partial_rotary_factor' in out && out.partial_rotary_factor !== 1)
    throw new RangeError('[config] partial_rotary_factor is not built for this model')
  return out
}

const plain = (theta: number, dim: number): Float64Array =>
  Float64Array.from({ length: dim / 2 }, (_, i) => 1 / theta ** ((2 * i) / dim))

/** Llama 3.1: long waves are stretched by `factor`, short ones stay, those between are blended. */
function llama3(p: RopeParameters, dim: number): Float64Array {
  const context = p.original_max_position_embeddings!
  const [low, high, factor] = [p.low_freq_factor!, p.high_freq_factor!, p.factor!]
  return plain(p.rope_theta, dim).map((f) => {
    const wave = (2 * Math.PI) / f
    if (wave < context / high) return f
    if (wave > context / low) return f / factor
    const smooth = (context / wave - low) / (high - low)
    return ((1 - smooth) * f) / factor + smooth * f
  })
}

/** YaRN (Peng et al. 2023): a ramp over the dimensions between stretched and plain frequencies. */
function yarn(p: RopeParameters, dim: number, maxPositions: number): Float64Array {
  const context = p.original_max_position_embeddings ?? maxPositions
  const rotations = (n: number) =>
    (dim * Math.log(context / (n * 2 * Math.PI))) / (2 * Math.log(p.rope_theta))
  let low = rotations(p.beta_fast || 32)
  let high = rotations(p.beta_slow || 1)
  if (p.truncate ?? true) [low, high] = [Math.floor(low), Math.ceil(high)]
  low = Math.max(low, 0)
  high = Math.min(high, dim - 1)
  if (low === high) high += 0.001
  return plain(p.rope_theta, dim).map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)))
    return (f / p.factor!) * ramp + f * (1 - ramp)
  })
}

function yarnAttention(p: RopeParameters): number {
  if (typeof p.attention_factor === 'number') return p.attention_factor
  const scale = (m: number) => (p.factor! <= 1 ? 1 : 0.1 * m * Math.log(p.factor!) + 1)
  return p.mscale && p.mscale_all_dim ? scale(p.mscale) / scale(p.mscale_all_dim) : scale(1)
}

/**
 * Cosines and sines by position. They are made on the host, where the positions are known anyway, and kept for the next call:
 * attention then meets them as a small table rather than as trigonometry in every head.
 */
export class RotaryTable {
  readonly #parameters: RopeParameters
  readonly #dim: number
  readonly #maxPositions: number
  readonly #attentionFactor: number
  #frequencies: Float64Array
  /** Length that the frequencies are for; only `dynamic` changes it. */
  #stretchedTo: number
  /** Rows [positions, dim / 2]. */
  #cos = new Float32Array(0)
  #sin = new Float32Array(0)

  /** @param dim of a head @param maxPositions the context that the model was trained for */
  constructor(parameters: RopeParameters, dim: number, maxPositions: number) {
    this.#parameters = parameters
    this.#dim = dim
    this.#maxPositions = maxPositions
    this.#stretchedTo = maxPositions
    this.#attentionFactor = parameters.rope_type === 'yarn' ? yarnAttention(parameters) : 1
    this.#frequencies = this.#compute(maxPositions).map(Math.fround)
  }

  #compute(length: number): Float64Array {
    const p = this.#parameters
    const dim = this.#dim
    if (p.rope_type === 'linear') return plain(p.rope_theta, dim).map((f) => f / p.factor!)
    if (p.rope_type === 'llama3') return llama3(p, dim)
    if (p.rope_type === 'yarn') return yarn(p, dim, this.#maxPositions)
    if (p.rope_type !== 'dynamic') return plain(p.rope_theta, dim)
    const stretch = (p.factor! * length) / this.#maxPositions - (p.factor! - 1)
    return plain(p.rope_theta * stretch ** (dim / (dim - 2)), dim)
  }

  /** Texts beyond the trained context get other frequencies under `dynamic`, shorter ones the plain ones again. */
  #stretch(length: number): void {
    const wanted = Math.max(length, this.#maxPositions)
    const grows = wanted > this.#stretchedTo
    const resets = wanted === this.#maxPositions && this.#stretchedTo > wanted
    if (this.#parameters.rope_type !== 'dynamic' || !(grows || resets)) return
    this.#stretchedTo = wanted
    this.#frequencies = this.#compute(wanted).map(Math.fround)
    this.#cos = this.#sin = new Float32Array(0)
  }

  #fill(rows: number): void {
    const half = this.#dim / 2
    const known = this.#cos.length / half
    if (rows <= known) return
    const size = Math.max(rows, 2 * known)
    const cos = new Float32Array(size * half)
    const sin = new Float32Array(size * half)
    cos.set(this.#cos)
    sin.set(this.#sin)
    for (let at = known; at < size; at++)
      for (let i = 0; i < half; i++) {
        // the angle is rounded to float32 as in PyTorch, which matters at large positions
        const angle = Math.fround(at * this.#frequencies[i])
        cos[at * half + i] = Math.cos(angle) * this.#attentionFactor
        sin[at * half + i] = Math.sin(angle) * this.#attentionFactor
      }
    this.#cos = cos
    this.#sin = sin
  }

  /** Rows of the table for positions int32 [B, T]: cos and sin, each [B, 1, T, dim / 2]. */
  at(positions: Tensor): { cos: Tensor; sin: Tensor } {
    if (!hostValues(positions)) return this.#computed(positions)
    const [b, t] = positions.shape
    const rows = (table: () => Float32Array) =>
      derived(positions, [b, 1, t, this.#dim / 2], (values) => this.#rows(values, table))
    return { cos: rows(() => this.#cos), sin: rows(() => this.#sin) }
  }

  /** Rows of one of the tables, after making room in both. */
  #rows(positions: TypedArray, table: () => Float32Array): Float32Array {
    const half = this.#dim / 2
    let largest = 0
    for (const p of positions) if (p > largest) largest = p
    this.#stretch(largest + 1)
    this.#fill(largest + 1)
    const out = new Float32Array(positions.length * half)
    for (const [i, p] of positions.entries()) out.set(table().subarray(p * half, (p + 1) * half), i * half)
    return out
  }

  /** The same for positions that are only known on the device. */
  #computed(positions: Tensor): { cos: Tensor; sin: Tensor } {
    if (this.#parameters.rope_type === 'dynamic')
      throw new Error('[rope] dynamic needs positions that are known when the model is called: pass an array')
    const [b, t] = positions.shape
    const angles = positions
      .float()
      .reshape([b, 1, t, 1])
      .mul(tensor(Float32Array.from(this.#frequencies)))
    return { cos: angles.cos().mul(this.#attentionFactor), sin: angles.sin().mul(this.#attentionFactor) }
  }
}

/** Rotates the halves of each head: x [B, H, T, D] with the table's cos and sin [B, 1, T, D / 2]. */
export function rotate(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [first, second] = x.chunk(2, -1)
  return cat([first.mul(cos).sub(second.mul(sin)), second.mul(cos).add(first.mul(sin))], -1)
}
