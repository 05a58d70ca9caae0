/** Something that lives in the engine's memory under a handle, and can be put there again after a renewal. */
import type { Engine, Exports } from './engine.ts'

export interface Recipe {
  /** Puts it into the engine; returns its handle, or throws. */
  create(exports: Exports): number
  free(exports: Exports, handle: number): void
}

export class Resident {
  readonly #engine: Engine
  readonly #recipe: Recipe
  readonly #place = { handle: 0, generation: -1 }

  constructor(engine: Engine, recipe: Recipe) {
    this.#engine = engine
    this.#recipe = recipe
    finalizers.register(this, { engine, place: this.#place, free: recipe.free }, this)
  }

  /** Runs `action` with the handle, which is only valid inside. */
  use<T>(operation: string, action: (exports: Exports, handle: number) => T): T {
    const { handle, generation } = this.#place
    if (generation !== this.#engine.generation || handle === 0) this.#create(operation)
    return this.#engine.run(operation, (exports) => action(exports, this.#place.handle))
  }

  /** Gives its memory back. It returns there by itself when used again. */
  free(): void {
    release(this.#engine, this.#place, this.#recipe.free)
  }

  #create(operation: string): void {
    const handle = this.#engine.run(operation, (exports) => {
      const created = this.#recipe.create(exports)
      this.#engine.settle()
      return created
    })
    this.#place.handle = handle
    this.#place.generation = this.#engine.generation
  }
}

interface Place {
  handle: number
  generation: number
}

function release(engine: Engine, place: Place, free: Recipe['free']): void {
  const { handle, generation } = place
  place.handle = 0
  if (handle !== 0 && generation === engine.generation) engine.run('free', (exports) => free(exports, handle))
}

/** Nobody has to call `free`: what is garbage to JavaScript is freed in the engine too. */
const finalizers = new FinalizationRegistry<{ engine: Engine; place: Place; free: Recipe['free'] }>(
  ({ engine, place, free }) => release(engine, place, free),
)
