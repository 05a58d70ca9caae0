import { noGrad, type Tensor } from '../core/index.ts'
import { assign, dropEffects, type StateTensor } from '../core/ops/effects.ts'
import { formatShape, sameShape } from '../core/shape.ts'
import { type AnyModule, bufferPaths, once, parameterPaths, walk } from './tree.ts'

/** Tensors by path. */
export type StateDict = Readonly<Record<string, Tensor>>

export interface LoadResult {
  missingKeys: string[]
  unexpectedKeys: string[]
}

function* savedBuffers(module: AnyModule): Generator<[string, StateTensor]> {
  const owners = new Map(walk(module))
  for (const [path, buffer] of bufferPaths(module)) {
    const dot = path.lastIndexOf('.')
    const owner = owners.get(path.slice(0, Math.max(0, dot)))
    if (!owner || owner.isSaved(path.slice(dot + 1))) yield [path, buffer]
  }
}

/** Every path under which a parameter or a saved buffer can be found. */
export function* statePaths(module: AnyModule): Generator<[string, StateTensor]> {
  yield* parameterPaths(module)
  yield* savedBuffers(module)
}

export const stateDictOf = (module: AnyModule): Record<string, StateTensor> =>
  Object.fromEntries(once(statePaths(module)))

/** See `Module.loadStateDict`. Nothing is written unless everything fits. */
export function loadStateDict(
  module: AnyModule,
  dict: StateDict,
  { strict = true }: { strict?: boolean },
): LoadResult {
  const targets = new Map(statePaths(module))
  const found = new Map<StateTensor, Tensor>()
  const problems: string[] = []
  const unexpectedKeys: string[] = []
  for (const [key, value] of Object.entries(dict)) {
    const target = targets.get(key)
    if (!target) unexpectedKeys.push(key)
    else if (!sameShape(target.shape, value.shape))
      problems.push(`${key} has shape ${formatShape(value.shape)}, not ${formatShape(target.shape)}`)
    else found.set(target, value)
  }
  const wanted = once(targets)
  const missingKeys = [...wanted].filter(([, t]) => !found.has(t)).map(([key]) => key)
  const wrongShape = new Set(problems.map((p) => p.split(' ')[0]))
  const missing = missingKeys.filter((key) => !wrongShape.has(key))
  if (strict && missing.length) problems.push(`missing keys: ${missing.join(', ')}`)
  if (strict && unexpectedKeys.length) problems.push(`unexpected keys: ${unexpectedKeys.join(', ')}`)
  if (problems.length)
    throw new RangeError(`[loadStateDict] ${module.constructor.name} does not fit: ${problems.join('; ')}`)
  noGrad(() => {
    for (const [target, value] of found) write(target, value)
  })
  return { missingKeys, unexpectedKeys }
}

function write(target: StateTensor, value: Tensor): void {
  const storage = value.value.storage
  if (storage?.kind === 'host' && value.dtype === target.dtype) {
    dropEffects(target.state)
    target.state.write(storage.data.slice())
  } else assign(target.state, value)
}
