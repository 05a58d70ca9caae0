/** Walking the attributes of modules: what is a child, a parameter, a buffer, and how paths are made. */
import { StateTensor } from '../core/ops/effects.ts'
import { Parameter } from './parameter.ts'

/** Marks modules, so that this file need not import their class. */
export const MODULE = Symbol.for('tunesmith.module')

/** A module of any signature. */
export interface AnyModule {
  readonly [MODULE]: true
  training: boolean
  forward(...args: never[]): unknown
  namedChildren(): Iterable<[string, AnyModule]>
  modules(): Iterable<AnyModule>
  parameters(): Iterable<Parameter>
  namedParameters(): Iterable<[string, Parameter]>
  getSubmodule(path: string): AnyModule
  isSaved(buffer: string): boolean
  apply(fn: (module: AnyModule) => void): unknown
  train(on?: boolean): unknown
  extraRepr(): string
}

const join = (prefix: string, name: string): string => (prefix ? `${prefix}.${name}` : name)

/** The module's own attributes of one kind, in the order in which they were set. */
function* attributes<T>(module: AnyModule, is: (x: unknown) => x is T): Generator<[string, T]> {
  for (const [name, value] of Object.entries(module)) if (is(value)) yield [name, value]
}

const isModule = (x: unknown): x is AnyModule => typeof x === 'function' && MODULE in x
const isParameter = (x: unknown): x is Parameter => x instanceof Parameter
const isBuffer = (x: unknown): x is StateTensor => x instanceof StateTensor && !(x instanceof Parameter)

export const childrenOf = (module: AnyModule): Generator<[string, AnyModule]> => attributes(module, isModule)

/** The module and all below it with their paths, parents first; a module that is used twice comes once. */
export function* walk(
  module: AnyModule,
  prefix = '',
  seen = new Set<AnyModule>(),
): Generator<[string, AnyModule]> {
  if (seen.has(module)) return
  seen.add(module)
  yield [prefix, module]
  for (const [name, child] of childrenOf(module)) yield* walk(child, join(prefix, name), seen)
}

function* tensors<T>(module: AnyModule, is: (x: unknown) => x is T, prefix: string): Generator<[string, T]> {
  for (const [name, value] of attributes(module, is)) yield [join(prefix, name), value]
  for (const [name, child] of childrenOf(module)) yield* tensors(child, is, join(prefix, name))
}

/** Every path to every parameter: a tied one comes under each of its names. */
export const parameterPaths = (module: AnyModule, prefix = ''): Generator<[string, Parameter]> =>
  tensors(module, isParameter, prefix)

/** Every path to every buffer, with those that are not saved. */
export const bufferPaths = (module: AnyModule, prefix = ''): Generator<[string, StateTensor]> =>
  tensors(module, isBuffer, prefix)

/** Each value once, under the first of its names. */
export function* once<T>(entries: Iterable<[string, T]>): Generator<[string, T]> {
  const seen = new Set<T>()
  for (const entry of entries) {
    if (seen.has(entry[1])) continue
    seen.add(entry[1])
    yield entry
  }
}
