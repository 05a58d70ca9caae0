/** Single parts of a tokenizer, made from their part of a tokenizer.json, such as `{ type: 'NFC' }`. */
import type { Offset } from './encoding.ts'
import { check, failure, loadEngine, resultJson, withText } from './engine.ts'
import type { ComponentConfig } from './parts/config.ts'
import { Resident } from './resident.ts'

export interface PreToken {
  text: string
  /** Its place in the text, in UTF-16 units. */
  offsets: Offset
}

const kinds = { Normalizer: 0, PreTokenizer: 1, Decoder: 2 }

class Component {
  readonly #resident: Resident
  readonly #kind: keyof typeof kinds

  private constructor(kind: keyof typeof kinds, resident: Resident) {
    this.#kind = kind
    this.#resident = resident
  }

  static async make(kind: keyof typeof kinds, config: ComponentConfig): Promise<Component> {
    const json = JSON.stringify(config)
    const resident = new Resident(await loadEngine(), {
      create: (x) => {
        const handle = withText(x, json, (pointer, length) => x.component_new(kinds[kind], pointer, length))
        if (handle === 0) throw failure(x, kind)
        return handle
      },
      free: (x, handle) => x.component_free(handle),
    })
    const component = new Component(kind, resident)
    resident.use(kind, () => undefined)
    return component
  }

  run<T>(input: unknown): T {
    return this.#resident.use(this.#kind, (x, handle) => {
      const status = withText(x, JSON.stringify(input), (pointer, length) =>
        x.component_run(handle, pointer, length),
      )
      check(x, this.#kind, status)
      return resultJson<T>(x)
    })
  }
}

export class Normalizer {
  readonly #component: Component

  private constructor(component: Component) {
    this.#component = component
  }

  static async fromConfig(config: ComponentConfig): Promise<Normalizer> {
    return new Normalizer(await Component.make('Normalizer', config))
  }

  normalize(text: string): string {
    return this.#component.run(text.toWellFormed())
  }
}

export class PreTokenizer {
  readonly #component: Component

  private constructor(component: Component) {
    this.#component = component
  }

  static async fromConfig(config: ComponentConfig): Promise<PreTokenizer> {
    return new PreTokenizer(await Component.make('PreTokenizer', config))
  }

  preTokenize(text: string): PreToken[] {
    const pieces = this.#component.run<[string, number, number][]>(text.toWellFormed())
    return pieces.map(([piece, start, end]) => ({ text: piece, offsets: [start, end] }))
  }
}

export class Decoder {
  readonly #component: Component

  private constructor(component: Component) {
    this.#component = component
  }

  static async fromConfig(config: ComponentConfig): Promise<Decoder> {
    return new Decoder(await Component.make('Decoder', config))
  }

  decode(tokens: readonly string[]): string {
    return this.#component.run(tokens.map((token) => token.toWellFormed()))
  }
}

/** The 256 letters that stand for bytes in byte-level vocabularies: the usual initial alphabet of a trainer. */
export async function byteLevelAlphabet(): Promise<string[]> {
  const engine = await loadEngine()
  return engine.run('byteLevelAlphabet', (x) => {
    check(x, 'byteLevelAlphabet', x.byte_level_alphabet())
    return resultJson<string[]>(x)
  })
}
