/** Moving tensors between devices. */
import type { DeviceName } from './backend.ts'
import { backendFor } from './device.ts'
import { readValue } from './evaluate.ts'
import { hostValue } from './graph.ts'
import { method } from './ops/define.ts'
import { StateTensor } from './ops/effects.ts'
import { Tensor } from './tensor.ts'

/**
 * The tensor on another device. A parameter or buffer moves itself (the same handle); anything else gives a new tensor
 * without a history.
 */
export async function toDevice(x: Tensor, device: DeviceName): Promise<Tensor> {
  if (x.device === device) return x
  const backend = await backendFor(device)
  const data = await readValue(x)
  if (!(x instanceof StateTensor)) return new Tensor(hostValue(data, x.shape, x.dtype))
  x.state.leave(data)
  x.state.bind(backend)
  return x
}

declare module './tensor.ts' {
  interface Tensor {
    /** The tensor on another device; see `toDevice`. */
    to(device: DeviceName): Promise<Tensor>
  }
}
method('to', toDevice)
