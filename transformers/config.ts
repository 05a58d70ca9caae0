/** Model configurations: the fields of `config.json` under their own names, typed. */

/** How weights are kept; computing is in float32. */
export type StorageDType = 'float32' | 'float16' | 'bfloat16'

type Method = (...args: never[]) => unknown
type Fields<T> = { [K in keyof T as T[K] extends Method ? never : K]?: T[K] | null }
/** What a config is made from: its own fields, older spellings of them, and fields that are only carried along. */
export type ConfigInit<T extends PretrainedConfig> = Partial<Fields<T>> & Readonly<Record<string, unknown>>

/** Fields that are about one run or one file, and are not carried along. */
const DROPPED = new Set(['_name_or_path', 'return_dict', 'torch_dtype', 'model_type', '_attn_implementation'])

/** Fields that Python's transformers insists to find as floats: whole numbers are written with a point. */
const FLOATS =
  /("(?:initializer_range|layer_norm_eps|layer_norm_epsilon|rms_norm_eps|rope_theta)": -?\d+)(?=,?$)/gm

/** Base of all configurations. Fields that the library does not know are kept and saved again. */
export abstract class PretrainedConfig {
  abstract readonly model_type: string
  architectures: string[] | null = null
  dtype: StorageDType | null = null
  bos_token_id: number | null = null
  eos_token_id: number | number[] | null = null
  pad_token_id: number | null = null
  initializer_range = 0.02
  tie_word_embeddings = true
  use_cache = true
  problem_type: 'regression' | 'single_label_classification' | 'multi_label_classification' | null = null
  id2label: Record<number, string> = { 0: 'LABEL_0', 1: 'LABEL_1' }
  label2id: Record<string, number> = { LABEL_0: 0, LABEL_1: 1 }

  /** How many classes the head of a classifier has; setting it renames them LABEL_0, LABEL_1, ... */
  get num_labels(): number {
    return Object.keys(this.id2label).length
  }
  set num_labels(n: number) {
    if (n === this.num_labels) return
    const names = Array.from({ length: n }, (_, i) => `LABEL_${i}`)
    this.id2label = Object.fromEntries(names.entries())
    this.label2id = Object.fromEntries(names.map((name, i) => [name, i]))
  }

  /** Takes over what is given; subclasses call it when their own defaults are set. */
  protected assign(init: Readonly<Record<string, unknown>>): void {
    const { num_labels, id2label, label2id, ...rest } = init
    for (const [name, value] of Object.entries(rest))
      if (value !== undefined && !DROPPED.has(name)) Object.assign(this, { [name]: value })
    const dtype = init.dtype ?? init.torch_dtype
    if (typeof dtype === 'string') this.dtype = dtype.replace(/^torch\./, '') as StorageDType
    if (typeof num_labels === 'number') this.num_labels = num_labels
    if (id2label) this.setLabels(id2label as Record<number, string>)
    else if (label2id)
      this.setLabels(
        Object.fromEntries(Object.entries(label2id as Record<string, number>).map(([k, v]) => [v, k])),
      )
  }

  private setLabels(id2label: Record<number, string>): void {
    this.id2label = { ...id2label }
    this.label2id = Object.fromEntries(Object.entries(id2label).map(([id, name]) => [name, Number(id)]))
  }

  /** The fields as they go into `config.json`, in order of their names. */
  toJSON(): Record<string, unknown> {
    const fields: Record<string, unknown> = Object.fromEntries(Object.entries(this))
    fields.model_type = this.model_type
    const plain = Object.entries(this.id2label).every(([id, name]) => name === `LABEL_${id}`)
    if (plain && this.num_labels === 2) {
      delete fields.id2label
      delete fields.label2id
    }
    if (this.problem_type === null) delete fields.problem_type
    return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** The text of `config.json`. */
  toJSONString(): string {
    return `${JSON.stringify(this, null, 2).replace(FLOATS, '$1.0')}\n`
  }
}
