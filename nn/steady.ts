/** Which modules do the same ops at every call: inputs of the same shapes lead to the same graph. */
import type { State } from '../core/state.ts'
import { hasHooks } from './module.ts'
import type { Parameter } from './parameter.ts'
import { type AnyModule, childrenOf, parameterPaths } from './tree.ts'

const steady = new WeakSet<object>()

/** Says so of classes; subclasses speak for themselves. In evaluation mode, and of their own `forward`. */
export function declareSteady(...classes: readonly object[]): void {
  for (const c of classes) steady.add(c)
}

const isSteady = (module: AnyModule): boolean =>
  steady.has(module.constructor) && !module.training && !Object.hasOwn(module, 'forward') && !hasHooks(module)

interface Link {
  readonly owner: AnyModule
  readonly name: string
  readonly value: AnyModule | Parameter
  /** Of a parameter. */
  readonly state: State | null
}

/** A module as it was found: steady, with its parts in their places. */
export class SteadyModule {
  readonly #modules: readonly AnyModule[]
  readonly #links: readonly Link[]

  private constructor(modules: readonly AnyModule[], links: readonly Link[]) {
    this.#modules = modules
    this.#links = links
  }

  /** Null where some part may do something else at every call. */
  static of(module: AnyModule): SteadyModule | null {
    const modules = [...module.modules()]
    if (!modules.every(isSteady)) return null
    const links: Link[] = []
    for (const owner of modules) {
      for (const [name, value] of childrenOf(owner)) links.push({ owner, name, value, state: null })
      for (const [name, value] of parameterPaths(owner))
        if (!name.includes('.')) links.push({ owner, name, value, state: value.state })
    }
    return new SteadyModule(modules, links)
  }

  /** Whether nothing was replaced, hooked or set to training since. Values of parameters may change. */
  isUnchanged(): boolean {
    return (
      this.#modules.every(isSteady) &&
      this.#links.every(
        ({ owner, name, value, state }) =>
          (owner as unknown as Record<string, unknown>)[name] === value &&
          (state === null || (value as Parameter).state === state),
      )
    )
  }
}
