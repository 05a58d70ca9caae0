import type { DeviceName } from '../core/backend.ts'
import { type DType, type Removable, type Tensor, zeroGrad } from '../core/index.ts'
import { assign, StateTensor } from '../core/ops/effects.ts'
import { isProfiling, recordedAt } from '../core/profile/scope.ts'
import { State } from '../core/state.ts'
import { describeModule } from './describe.ts'
import { keepOutputs } from './keep-outputs.ts'
import { moveModule } from './move.ts'
import type { Parameter } from './parameter.ts'
import { leavePlace, placeOf } from './profile.ts'
import { type LoadResult, loadStateDict, type StateDict, stateDictOf } from './state-dict.ts'
import { type AnyModule, bufferPaths, childrenOf, MODULE, once, parameterPaths, walk } from './tree.ts'

/** Sees the arguments before `forward`; an array that it returns replaces them. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that returns nothing is the usual one
export type ForwardPreHook<Args extends unknown[]> = (module: AnyModule, args: Args) => Args | void
/** Sees arguments and output after `forward`; what it returns replaces the output. */
export type ForwardHook<Args extends unknown[], Out> = (
  module: AnyModule,
  args: Args,
  output: Out,
  // biome-ignore lint/suspicious/noConfusingVoidType: as above
) => Out | void

interface Hooks {
  readonly before: Set<(module: AnyModule, args: unknown[]) => unknown>
  readonly after: Set<(module: AnyModule, args: unknown[], output: unknown) => unknown>
}

/** Hooks and buffer settings live beside the modules, so that a module's attributes are its checkpoint keys and nothing else. */
const hooksOf = new WeakMap<AnyModule, Hooks>()
const unsavedBuffers = new WeakMap<AnyModule, Set<string>>()

const hooks = (module: AnyModule): Hooks => {
  let found = hooksOf.get(module)
  if (!found) {
    found = { before: new Set(), after: new Set() }
    hooksOf.set(module, found)
  }
  return found
}

/** Whether functions are called around a module's forward. */
export function hasHooks(module: AnyModule): boolean {
  const own = hooksOf.get(module)
  return own !== undefined && own.before.size + own.after.size > 0
}

/** Modules whose `forward` is running. */
let depth = 0

function call(module: AnyModule, given: unknown[]): unknown {
  const own = hooksOf.get(module)
  let args = given
  for (const hook of own?.before ?? []) {
    const changed = hook(module, args)
    if (changed !== undefined) args = Array.isArray(changed) ? changed : [changed]
  }
  depth++
  let output: unknown
  try {
    output = isProfiling()
      ? recordedAt(placeOf(module), () => module.forward(...(args as never[])))
      : module.forward(...(args as never[]))
  } finally {
    depth--
    if (depth === 0) leavePlace()
  }
  for (const hook of own?.after ?? []) {
    const changed = hook(module, args, output)
    if (changed !== undefined) output = changed
  }
  if (depth === 0) keepOutputs(output)
  return output
}

/** The constructor really returns a function: its call signature. */
export interface Module<Args extends unknown[] = [x: Tensor], Out = Tensor> {
  /** Runs `forward` with the hooks around it. */
  // biome-ignore lint/style/useShorthandFunctionType: it merges with the class below
  (...args: Args): Out
}

/**
 * Base of all modules. A subclass sets parameters, buffers and other modules as attributes, whose names become the keys of
 * its checkpoint, and overrides `forward`; an instance is called like a function.
 *
 * ```ts
 * class Net extends Module<[x: Tensor], Tensor> {
 *   hidden = new Linear(4, 8)
 *   out = new Linear(8, 1)
 *   forward(x: Tensor) {
 *     return this.out(this.hidden(x).relu())
 *   }
 * }
 * const net = new Net()
 * const y = net(x)
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see above
export abstract class Module<Args extends unknown[] = [x: Tensor], Out = Tensor> {
  /** @internal */
  get [MODULE](): true {
    return true
  }

  /** Whether dropout and the like are active; set by `train()` and `eval()`. */
  training!: boolean

  constructor() {
    const self = (...args: unknown[]): unknown => call(self as unknown as AnyModule, args)
    Object.setPrototypeOf(self, new.target.prototype)
    // a module is a function by its nature: it shows its class's name, and leaves `length` to subclasses
    Object.defineProperty(self, 'name', { value: new.target.name, configurable: true, writable: true })
    Reflect.deleteProperty(self, 'length')
    Object.defineProperty(self, 'training', { value: true, configurable: true, writable: true })
    // biome-ignore lint/correctness/noConstructorReturn: instances are callable, without a Proxy
    return self as unknown as this
  }

  /** What the module computes. Call the module itself instead: that runs hooks and keeps the outputs readable. */
  abstract forward(...args: Args): Out

  /** Submodules by attribute name. */
  *namedChildren(): Generator<[string, AnyModule]> {
    yield* childrenOf(this)
  }

  *children(): Generator<AnyModule> {
    for (const [, child] of childrenOf(this)) yield child
  }

  /** This module (path '') and all below it by path, each once. */
  *namedModules(): Generator<[string, AnyModule]> {
    yield* walk(this)
  }

  *modules(): Generator<AnyModule> {
    for (const [, module] of walk(this)) yield module
  }

  /** Parameters by path; a tied one comes once, under its first name. */
  *namedParameters(): Generator<[string, Parameter]> {
    yield* once(parameterPaths(this))
  }

  *parameters(): Generator<Parameter> {
    for (const [, parameter] of this.namedParameters()) yield parameter
  }

  *namedBuffers(): Generator<[string, StateTensor]> {
    yield* once(bufferPaths(this))
  }

  /** @throws RangeError where there is no such parameter */
  getParameter(path: string): Parameter {
    for (const [name, parameter] of parameterPaths(this)) if (name === path) return parameter
    throw new RangeError(`[getParameter] ${this.constructor.name} has no parameter ${path}`)
  }

  /** @throws RangeError where there is no such module */
  getSubmodule(path: string): AnyModule {
    for (const [name, module] of walk(this)) if (name === path) return module
    throw new RangeError(`[getSubmodule] ${this.constructor.name} has no module ${path}`)
  }

  /** Keeps a tensor that is no parameter (running statistics, tables) as attribute `name`; `persistent` ones are saved. */
  registerBuffer(name: string, tensor: Tensor, options: { persistent?: boolean } = {}): void {
    const state = new State(tensor.shape, tensor.dtype, name)
    assign(state, tensor)
    Object.defineProperty(this, name, {
      value: new StateTensor(state),
      enumerable: true,
      configurable: true,
      writable: true,
    })
    if (options.persistent === false)
      unsavedBuffers.set(this, (unsavedBuffers.get(this) ?? new Set()).add(name))
  }

  /** @internal Whether a buffer of this very module is part of its checkpoint. */
  isSaved(buffer: string): boolean {
    return !unsavedBuffers.get(this)?.has(buffer)
  }

  /**
   * Parameters and saved buffers by path, tied ones once. As in PyTorch these are live: they show later changes.
   */
  stateDict(): Record<string, StateTensor> {
    return stateDictOf(this)
  }

  /**
   * Takes values by path; a tied parameter may come under any of its names.
   * @param options with `strict: false`, missing and unexpected keys are returned rather than thrown
   * @throws RangeError, one for all keys that are missing, unexpected or of another shape
   */
  loadStateDict(dict: StateDict, options: { strict?: boolean } = {}): LoadResult {
    return loadStateDict(this, dict, options)
  }

  train(on = true): this {
    for (const module of this.modules()) module.training = on
    return this
  }

  eval(): this {
    return this.train(false)
  }

  /** Calls `fn` with every module below this one and then with itself, children first. */
  apply(fn: (module: AnyModule) => void): this {
    for (const [, child] of childrenOf(this)) child.apply(fn)
    fn(this)
    return this
  }

  requiresGrad_(on = true): this {
    for (const p of this.parameters()) p.requiresGrad_(on)
    return this
  }

  /** Makes the next gradients overwrite rather than add. */
  zeroGrad(): void {
    zeroGrad(this.parameters())
  }

  /**
   * Moves parameters and buffers to a device, or keeps matrices in another dtype (float16 and bfloat16 are storage for
   * inference: such weights take no gradient; vectors such as biases and norms stay float32).
   */
  async to(target: DeviceName | DType): Promise<this> {
    await moveModule(this, target)
    return this
  }

  registerForwardPreHook(hook: ForwardPreHook<Args>): Removable {
    return register(hooks(this).before, hook as (module: AnyModule, args: unknown[]) => unknown)
  }

  registerForwardHook(hook: ForwardHook<Args, Out>): Removable {
    return register(
      hooks(this).after,
      hook as (module: AnyModule, args: unknown[], output: unknown) => unknown,
    )
  }

  /** What the printed form shows between the parentheses, such as sizes. */
  extraRepr(): string {
    return ''
  }

  toString(): string {
    return describeModule(this)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return describeModule(this)
  }
}

/** The same function may be registered twice: each time with a wrapper of its own. */
function register<F extends (...args: never[]) => unknown>(set: Set<F>, hook: F): Removable {
  const entry = ((...args: never[]) => hook(...args)) as F
  set.add(entry)
  return { remove: () => void set.delete(entry) }
}
