/** Moving a module's parameters and buffers to another device or storage dtype. */
import type { DeviceName } from '../core/backend.ts'
import type { DType } from '../core/index.ts'
import type { StateTensor } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'
import { narrowFloats } from './narrow.ts'
import { type AnyModule, bufferPaths, once, parameterPaths } from './tree.ts'

const DEVICES: readonly string[] = ['cpu', 'webgpu', 'reference']
const FLOATS: readonly string[] = ['float32', 'float16', 'bfloat16']

/**
 * The dtype in which a parameter of a model with 16-bit storage is kept: only matrices are narrowed, since biases and norms
 * take little memory and enter kernels that read float32.
 */
export const storageDType = (shape: readonly number[], dtype: DType): DType =>
  shape.length > 1 ? dtype : 'float32'

/** See `Module.to`. */
export async function moveModule(module: AnyModule, target: DeviceName | DType): Promise<void> {
  const toDevice = DEVICES.includes(target)
  if (!toDevice && !FLOATS.includes(target))
    throw new TypeError(`[to] "${target}" is neither a device nor a dtype for weights`)
  for (const [, p] of once(parameterPaths(module))) {
    const dtype = toDevice ? p.dtype : storageDType(p.shape, target as DType)
    const device = toDevice ? (target as DeviceName) : p.state.device
    if (dtype !== p.dtype || device !== p.state.device) p.adopt(await movedState(p, dtype, device))
  }
  if (!toDevice) return
  for (const [path, buffer] of once(bufferPaths(module))) {
    const dot = path.lastIndexOf('.')
    const owner = dot < 0 ? module : module.getSubmodule(path.slice(0, dot))
    const moved = await movedState(buffer, buffer.dtype, target as DeviceName)
    Object.assign(owner, { [path.slice(dot + 1)]: new (buffer.constructor as typeof StateTensor)(moved) })
  }
}

async function movedState(from: StateTensor, dtype: DType, device: DeviceName | null): Promise<State> {
  const state = new State(from.shape, dtype, from.state.name)
  const values = await from.data()
  state.write(dtype === 'float16' || dtype === 'bfloat16' ? narrowFloats(values, dtype) : values)
  state.device = device
  return state
}
