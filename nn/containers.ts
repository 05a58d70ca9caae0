/** Modules made of modules. Their children are numbered: `0`, `1`, ... in checkpoint keys. */
import type { Tensor } from '../core/index.ts'
import { Module } from './module.ts'
import { declareSteady } from './steady.ts'
import { type AnyModule, childrenOf } from './tree.ts'

/** The numbered attributes are set by `append`. */
export interface ModuleList<M extends AnyModule> {
  [index: number]: M
}

/** A list of modules whose parameters count; it has no forward of its own. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see above
export class ModuleList<M extends AnyModule> extends Module<never[], never> {
  constructor(modules: Iterable<M> = []) {
    super()
    for (const module of modules) this.append(module)
  }

  append(module: M): this {
    this[this.length] = module
    return this
  }

  override get length(): number {
    return [...childrenOf(this)].length
  }

  /** The module at a position; negative ones count from the end. */
  at(index: number): M | undefined {
    return this[index < 0 ? index + this.length : index]
  }

  *[Symbol.iterator](): Generator<M> {
    for (const [, child] of childrenOf(this)) yield child as M
  }

  *entries(): Generator<[number, M]> {
    for (const [name, child] of childrenOf(this)) yield [Number(name), child as M]
  }

  forward(): never {
    throw new Error('[ModuleList] has no forward: call its modules one by one, or use Sequential')
  }
}

type Step = Module<[x: Tensor], Tensor>

/** The numbered attributes are set by the constructor. */
export interface Sequential {
  [index: number]: Step
}

/** Modules called one after another, each with the output of the one before. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see above
export class Sequential extends Module<[x: Tensor], Tensor> {
  constructor(...modules: Step[]) {
    super()
    for (const [i, module] of modules.entries()) this[i] = module
  }

  *[Symbol.iterator](): Generator<Step> {
    for (const [, child] of childrenOf(this)) yield child as unknown as Step
  }

  forward(x: Tensor): Tensor {
    let out = x
    for (const module of this) out = module(out)
    return out
  }
}

declareSteady(ModuleList, Sequential)
