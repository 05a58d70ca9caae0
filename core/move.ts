/** Moving tensors between devices. */
import type { Backend, DeviceName } from './backend.ts'
import { backendFor } from './device.ts'
import { type DType, isDType, type TypedArray } from './dtype.ts'
import { readValue } from './evaluate.ts'
import { Value } from './graph.ts'
import { cast } from './ops/cast.ts'
import { method } from './ops/define.ts'
import { StateTensor } from './ops/effects.ts'
import { trackRoot } from './roots.ts'
import type { Shape } from './shape.ts'
import { toDeviceLayout } from './state.ts'
import { Tensor } from './tensor.ts'

/** The tensor on another device, or in another dtype. */
function to(x: Tensor, target: DeviceName | DType): Tensor | Promise<Tensor> {
  if (isDType(target)) return cast(x, target)
  return toDevice(x, target)
}

/** Host elements in the memory of a device. */
function deviceValue(data: TypedArray, shape: Shape, dtype: DType, backend: Backend): Value {
  const elements = toDeviceLayout(data, dtype)
  const buffer = backend.allocate(Math.max(4, elements.byteLength))
  backend.upload(buffer, 0, elements)
  const value = new Value(shape, dtype, null, 0, null)
  value.storage = trackRoot(value, { kind: 'device', backend, buffer })
  return value
}

/**
 * The tensor on another device. A parameter or buffer moves itself (the same handle); anything else gives a new tensor
 * without a history.
 */
export async function toDevice(x: Tensor, device: DeviceName): Promise<Tensor> {
  if (x.device === device) return x
  const backend = await backendFor(device)
  const data = await readValue(x)
  if (!(x instanceof StateTensor)) return new Tensor(deviceValue(data, x.shape, x.dtype, backend))
  x.state.leave(data)
  x.state.bind(backend)
  return x
}

declare module './tensor.ts' {
  interface Tensor {
    /** The tensor on another device; see `toDevice`. */
    to(device: DeviceName): Promise<Tensor>
    /** The tensor in another dtype of compute; see `cast`. */
    to(dtype: DType): Tensor
  }
}
method('to', to)
